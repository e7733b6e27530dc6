"""Paired comparisons of encoders over seeds, and over items with one seed."""

import csv
import itertools
import math
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from tests.warm_python import warm_python

from gensis.artifacts.files import write_json
from gensis.errors import UserError
from gensis.evaluation.answers import Answers, read_answers
from gensis.evaluation.group_flips import flipped_p
from gensis.evaluation.paired import Pair, Value, compare_over_seeds, pairs_of
from gensis.evaluation.paired_items import compare_over_items
from gensis.evaluation.predictions import Predictions, write_predictions

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/summarize.py"
PAIR = Pair("gen-dino", "dino")
N, CLASSES = 200, 3


def values(encoder: str, by_seed: dict[int, float], metric: str = "accuracy") -> list[Value]:
    return [
        Value(encoder=encoder, dataset="tissue", seed=seed, task="linear", metric=metric, value=value)
        for seed, value in by_seed.items()
    ]


def answers(generator: np.random.Generator, right: float, groups: int = N) -> Answers:
    """Random predictions of the same items for several encoders."""
    items = np.random.default_rng(0)
    label, group = items.integers(CLASSES, size=N), np.arange(N) % groups
    wrong = (label + generator.integers(1, CLASSES, size=N)) % CLASSES
    predicted = np.where(generator.random(N) < right, label, wrong)
    return Answers(np.arange(N), label, group, {"_k20": predicted})


@pytest.fixture
def both() -> dict[str, Answers]:
    generator = np.random.default_rng(1)
    return {"dino": answers(generator, 0.5), "gen-dino": answers(generator, 0.8)}


def test_arms_are_compared_with_the_baseline_and_the_main_arm_with_its_controls() -> None:
    found = pairs_of("simclr", ["a", "b"], "b")
    untrained = [Pair("random", "simclr"), Pair("pixels", "simclr")]
    assert found == [Pair("a", "simclr"), Pair("b", "simclr"), Pair("b", "a"), *untrained]
    assert pairs_of("simclr", ["only"], "only") == [Pair("only", "simclr"), *untrained]
    assert pairs_of("simclr", [], None) == untrained


def test_an_external_encoder_is_compared_with_the_baseline_and_with_the_main_arm() -> None:
    found = pairs_of("simclr", ["a", "b"], "b", ["uni"])
    assert found.count(Pair("uni", "simclr")) == found.count(Pair("b", "uni")) == 1
    assert not {Pair("a", "uni"), Pair("uni", "a")} & set(found)
    assert pairs_of("simclr", [], None, ["uni"])[0] == Pair("uni", "simclr")


def test_differences_are_taken_within_seed_and_metric() -> None:
    ours = values("gen-dino", {0: 0.6, 1: 0.8, 2: 0.1}) + values("gen-dino", {0: 0.9}, "auroc")
    theirs = values("dino", {1: 0.5, 0: 0.5, 3: 0.9}) + values("dino", {0: 0.8}, "auroc")
    first, second = compare_over_seeds([*ours, *theirs], [PAIR, Pair("gen-dino", "absent")])
    assert (first.metric, first.estimate.n) == ("accuracy", 2)
    assert first.estimate.difference == pytest.approx(0.2)
    assert (second.metric, second.estimate.n) == ("auroc", 1)
    assert second.estimate.difference == pytest.approx(0.1)


def test_item_differences_equal_scikit_learn(both: dict[str, Answers]) -> None:
    found = {metric: estimate for _, metric, estimate in compare_over_items(both, [PAIR], 0)}
    label = both["dino"].label
    for name, score in (("accuracy", accuracy_score), ("balanced_accuracy", balanced_accuracy_score)):
        ours, theirs = (score(label, both[encoder].predicted["_k20"]) for encoder in ("gen-dino", "dino"))
        assert found[f"{name}_k20"].difference == pytest.approx(ours - theirs)


def test_the_interval_over_items_is_that_of_paired_differences(both: dict[str, Answers]) -> None:
    (accuracy, balanced) = (estimate for *_, estimate in compare_over_items(both, [PAIR], 2000))
    right = [np.equal(each.predicted["_k20"], each.label).astype(float) for each in both.values()]
    differences = right[1] - right[0]
    half = 1.96 * differences.std() / math.sqrt(N)
    expected = (differences.mean() - half, differences.mean() + half)
    assert (accuracy.low, accuracy.high) == pytest.approx(expected, abs=0.01)
    assert balanced.low < balanced.difference < balanced.high


def test_items_that_share_a_group_have_no_mcnemar_test() -> None:
    generator = np.random.default_rng(2)
    alone = {name: answers(generator, right) for name, right in (("dino", 0.5), ("gen-dino", 0.6))}
    # Each item three times in its group: more items, but no more information.
    thrice = {
        name: Answers(
            np.arange(3 * N),
            *(np.tile(part, 3) for part in (a.label, a.group)),
            {"_k20": np.tile(a.predicted["_k20"], 3)},
        )
        for name, a in alone.items()
    }
    one, grouped = (next(iter(compare_over_items(each, [PAIR], 300)))[2] for each in (alone, thrice))
    assert (grouped.low, grouped.high) == pytest.approx((one.low, one.high))
    assert (one.test, grouped.test) == ("mcnemar", "")
    assert math.isnan(grouped.p)


def test_predictions_of_other_items_are_refused(both: dict[str, Answers]) -> None:
    dino = both["dino"]
    both["dino"] = Answers(dino.item + 1, dino.label, dino.group, dino.predicted)
    with pytest.raises(UserError, match="not of the same items"):
        list(compare_over_items(both, [PAIR], 0))


def test_predicted_classes_are_read_from_stored_predictions(tmp_path: Path, both: dict[str, Answers]) -> None:
    dino = both["dino"]
    shares = np.eye(CLASSES)[dino.predicted["_k20"]]
    stored = Predictions(
        classes=("a", "b", "c"),
        item=dino.item,
        group=dino.group,
        fold=dino.group * 0,
        label=dino.label,
        probabilities={"_k20": shares},
    )
    write_predictions(tmp_path / "predictions.h5", {"knn": stored}, {})
    read = read_answers(tmp_path / "predictions.h5")["knn"]
    for name in ("item", "label", "group"):
        np.testing.assert_array_equal(getattr(read, name), getattr(dino, name))
    np.testing.assert_array_equal(read.predicted["_k20"], dino.predicted["_k20"])


def test_script_writes_comparisons_over_seeds_and_over_items(tmp_path: Path, both: dict[str, Answers]) -> None:
    evaluations, predictions = [], []
    for seed in range(2):
        for encoder, each in both.items():
            folder = tmp_path / encoder / "tissue" / f"seed{seed}"
            value = float((each.predicted["_k20"] == each.label).mean()) + seed * (encoder == "dino") / 10
            metric = {"metric": "accuracy_k20", "value": value, "low": None, "high": None, "n": N, "chance": 0.3}
            subject = {"encoder": encoder, "dataset": "tissue", "seed": seed, "task": "knn"}
            write_json(folder / "knn.json", subject | {"n_groups": N, "metrics": [metric]})
            shares = np.eye(CLASSES)[each.predicted["_k20"]]
            stored = Predictions(
                classes=("a", "b", "c"),
                item=each.item,
                group=each.group,
                fold=each.group * 0,
                label=each.label,
                probabilities={"_k20": shares},
            )
            write_predictions(folder / "predictions.h5", {"knn": stored}, {})
            evaluations.append(folder / "knn.json")
            predictions.append(folder / "predictions.h5")
    options = ["--evaluations", *evaluations, "--predictions", *predictions, "--resamples", "50"]
    options += [
        "--baseline",
        "dino",
        "--arms",
        "gen-dino",
        "--output",
        tmp_path / "summary.csv",
        "--comparisons",
        tmp_path / "comparisons.csv",
    ]
    subprocess.run([warm_python(), SCRIPT, *options], check=True)
    with open(tmp_path / "comparisons.csv", newline="") as stream:
        seeds, *items = csv.DictReader(stream)
    assert (seeds["over"], seeds["seed"], seeds["n"], seeds["interval"], seeds["p"]) == ("seeds", "", "2", "t", "")
    assert [(row["over"], row["seed"], row["metric"]) for row in items] == [
        ("items", str(seed), metric) for seed in (0, 1) for metric in ("accuracy_k20", "balanced_accuracy_k20")
    ]
    assert all(float(row["low"]) <= float(row["difference"]) <= float(row["high"]) for row in items)


def test_many_groups_are_flipped_in_little_memory_and_those_without_a_part_change_nothing() -> None:
    parts = np.random.default_rng(0).normal(size=(300, 2))
    found = flipped_p(parts)
    tracemalloc.start()
    with_others = flipped_p(np.concatenate([parts, np.zeros((500_000, 2))]))
    many = flipped_p(np.random.default_rng(1).normal(size=(3000, 2)))
    assert tracemalloc.get_traced_memory()[1] < 150e6
    tracemalloc.stop()
    assert with_others.tolist() == found.tolist()
    assert ((many > 0) & (many <= 1)).all()


def test_groups_are_flipped_as_a_whole_in_the_test_of_balanced_accuracy() -> None:
    groups, generator = 8, np.random.default_rng(2)
    both = {"dino": answers(generator, 0.5, groups), "gen-dino": answers(generator, 0.6, groups)}
    found = {metric: estimate for _, metric, estimate in compare_over_items(both, [PAIR], 0, trained=False)}
    label, size = both["dino"].label, np.bincount(both["dino"].label)
    parts = [
        sum(
            sign * (both[name].predicted["_k20"][i] == label[i]) / size[label[i]] / CLASSES
            for i in range(group, N, groups)
            for name, sign in (("gen-dino", 1), ("dino", -1))
        )
        for group in range(groups)
    ]
    assert sum(parts) == pytest.approx(found["balanced_accuracy_k20"].difference)
    flipped = [abs(np.dot(signs, parts)) for signs in itertools.product((1, -1), repeat=groups)]
    exact = np.mean(np.array(flipped) >= abs(sum(parts)) - 1e-9)
    assert found["balanced_accuracy_k20"].test == "sign-flip"
    assert found["balanced_accuracy_k20"].p == pytest.approx(exact, abs=0.005)


def test_equal_encoders_do_not_differ(both: dict[str, Answers]) -> None:
    same = {"gen-dino": both["dino"], "dino": both["dino"]}
    found = {metric: estimate for _, metric, estimate in compare_over_items(same, [PAIR], 0, trained=False)}
    assert found["balanced_accuracy_k20"].p == 1


def test_seeds_of_external_encoders_are_no_sample() -> None:
    same = {seed: 0.8 for seed in range(8)}, {seed: 0.5 for seed in range(8)}
    pair = [*values("gen-dino", same[0]), *values("dino", same[1])]
    (found,) = compare_over_seeds(pair, [PAIR], trained=False)
    assert found.estimate.difference == pytest.approx(0.3)
    assert (found.estimate.interval, found.estimate.test) == ("", "")
    assert np.isnan([found.estimate.low, found.estimate.high, found.estimate.p]).all()


def test_the_first_of_external_encoders_is_the_reference() -> None:
    assert pairs_of("uni", ["virchow", "resnet"], None)[:2] == [Pair("virchow", "uni"), Pair("resnet", "uni")]
