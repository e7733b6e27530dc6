"""The answer of the report: values, verdict and caveats."""

import csv
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.artifacts.files import read_json, write_json
from gensis.artifacts.tables import write_table
from gensis.evaluation.comparisons import write_comparisons
from gensis.evaluation.paired import Comparison, Pair
from gensis.evaluation.statistics import Estimate, over_seeds
from gensis.figures.answer import answer
from gensis.figures.claim import claim
from gensis.figures.compared import holm, seeds_for_a_claim
from gensis.figures.differences import differences
from gensis.figures.html_tables import all_encoders
from gensis.figures.page import page
from gensis.figures.run import Run
from gensis.figures.scores import Column

COLUMN = Column("knn", "balanced_accuracy_k5", "k-NN")
NAN = float("nan")


def claimed(
    results: Path, gains: list[float], items: tuple[float, float, float] | None = None, **config: object
) -> str:
    """The claim about gen-dino, given its gain over dino by seed, and low, high and p over the items of seed 0."""
    path = results / "tiny/comparisons.csv"
    metric = ("tissue", COLUMN.task, COLUMN.metric)
    found = [Comparison(Pair("gen-dino", "dino"), *metric, seed=None, estimate=over_seeds(gains))]
    if items:
        low, high, p = items
        of_items = Estimate(n=100, difference=gains[0], low=low, high=high, interval="bootstrap", p=p, test="mcnemar")
        found.append(Comparison(Pair("gen-dino", "dino"), *metric, seed=0, estimate=of_items))
    write_comparisons(path, found)
    return claim(Run(results / "tiny", results / "images"), "gen-dino", "tissue", COLUMN)


def test_answer_names_the_value_the_baselines_and_the_interval(run: Run) -> None:
    html = answer(run)
    assert '<b class="accent">gen-dino</b> 0.640 <small>[0.540, 0.740]</small>' in html
    for expected in (
        "dino 0.610",
        "an untrained encoder 0.450",
        "raw pixels 0.400",
        "chance 0.333",
        "Tested on 5 slides from 3 groups",
    ):
        assert expected in html


def test_arms_with_the_same_compute_and_no_bank_are_named_as_baselines(results: Path) -> None:
    arms = {"a": {"match_compute": "gen-dino"}, "b": {"match_compute": "gen-dino", "bank": "default"}}
    tiny.write_config(results / "tiny", retraining=tiny.CONFIG["retraining"] | arms)
    tiny.write_scores(results / "tiny", tiny.VALUES | {"a": 0.62, "b": 0.63})
    html = answer(Run(results / "tiny", results / "images"))
    assert "compared with dino 0.610" in html
    assert "a (trained without a bank, with the compute of gen-dino) 0.620" in html
    assert "0.630" not in html.partition("Tested on")[0]


def test_answer_starts_with_verdict_and_difference(run: Run) -> None:
    first = answer(run).partition("</p>")[0]
    assert "Does gen-dino beat dino on <b>tissue</b>" in first
    assert "<b>Too few seeds to claim</b>" in first
    assert "gen-dino &minus; dino = +0.030 with one seed" in first


def test_answer_is_about_the_main_arm_whatever_its_name(results: Path) -> None:
    arms = {"ours": {"bank": "default"}, "a-control": {"bank": "default", "shuffle_bank": True}}
    arms |= {"gen-dino": {"bank": "default", "disentangle_weight": 0}}
    tiny.write_config(results / "tiny", retraining=arms)
    tiny.write_scores(results / "tiny", {"dino": 0.6, "ours": 0.7, "a-control": 0.2, "gen-dino": 0.65})
    run = Run(results / "tiny", results / "images")
    assert "Does ours beat dino on" in answer(run)
    assert run.scores.encoders == ["dino", "ours", "a-control", "gen-dino", "chance"]


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_few_seeds_allow_no_claim_however_large_the_gain(results: Path, seeds: int) -> None:
    html = claimed(results, [0.8 + i / 100 for i in range(seeds)])
    assert "<b>Too few seeds to claim</b>" in html
    assert "no evidence" not in html
    assert "A claim needs at least 6 seeds" in html
    assert ("95 % interval" in html) is (seeds > 1)


def test_few_seeds_with_interval_around_zero_show_no_difference(results: Path) -> None:
    html = claimed(results, [0.1, -0.1, 0.05, 0.02, -0.03])
    assert "<b>Not shown:</b>" in html
    assert "A claim needs at least 6 seeds" in html


@pytest.mark.parametrize(("seeds", "verdict"), [(6, "Too few seeds to claim"), (7, "Yes:")])
def test_several_main_metrics_are_holm_corrected(results: Path, seeds: int, verdict: str) -> None:
    """Both main metrics of the tiny run gain with each seed: p = 2 / 2^n, and twice that after Holm correction."""
    tiny.write_scores(results / "tiny", seeds=tuple(range(seeds)))
    html = answer(Run(results / "tiny", results / "images"))
    assert html.count(f"<b>{verdict}</b>") == 2
    if seeds == 6:
        assert html.count("A claim about 2 main metrics needs at least 7 seeds") == 2
    else:
        assert html.count("p = 0.016, 0.031 after Holm correction for 2 main metrics.") == 2
    filled = differences(Run(results / "tiny", results / "images")).count('class="mean sure"')
    assert filled == (0 if seeds == 6 else 2 * 3)


def test_holm_correction_equals_its_step_down_procedure() -> None:
    """At each level, reject the smallest p-values in order while they are at most level / number of p-values left."""
    p = [0.01, 0.04, 0.03, 0.005]
    corrected = holm(p)
    for level in (0.019, 0.021, 0.029, 0.031, 0.059, 0.061):
        rejected, left = set(), sorted(range(4), key=p.__getitem__)
        while left and p[left[0]] <= level / len(left):
            rejected.add(left.pop(0))
        assert {i for i in range(4) if corrected[i] <= level} == rejected
    assert holm([]) == []
    assert holm([0.6, 0.9]) == [1, 1]


@pytest.mark.parametrize(("figures", "seeds"), [(1, 6), (2, 7), (3, 7), (4, 8)])
def test_seeds_for_a_claim_are_the_fewest_that_reach_significance(figures: int, seeds: int) -> None:
    assert seeds_for_a_claim(figures) == seeds
    least = {n: over_seeds([0.1] * n).p for n in (seeds - 1, seeds)}
    assert figures * least[seeds] < 0.05
    assert not figures * least[seeds - 1] < 0.05  # NaN below six


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.1] * 6, "Yes"),
        ([-0.1] * 6, "No"),
        ([0.1] * 5 + [-0.1], "Not shown"),
        ([0.0] * 6, "Not shown"),
        ([0.001, 0.002, 0.001, 0.003, 0.001, 0.06], "Not shown"),  # six of one sign, but an interval that includes 0
    ],
)
def test_with_six_seeds_the_sign_flip_test_decides(results: Path, gains: list[float], verdict: str) -> None:
    html = claimed(results, gains)
    assert f"<b>{verdict}:</b>" in html
    assert f"p = {over_seeds(gains).p:.3f}" in html


CONTROLS = {
    "longer": {"match_compute": "gen-dino"},
    "nearest": {"bank": "neighbours", "disentangle_weight": 0},
    "shuffled": {"bank": "default", "shuffle_bank": True, "disentangle_weight": 0},
    "half": {"bank": "default", "disentangle_weight": 0},
}


@pytest.mark.parametrize(
    ("beaten", "verdict"),
    [
        (("longer", "nearest", "shuffled", "half"), "Yes"),
        (("longer", "nearest", "shuffled"), "Yes"),  # an ablation of the method is no control
        (("nearest", "shuffled", "half"), "Not shown"),
        (("longer", "shuffled", "half"), "Not shown"),
        (("longer", "nearest", "half"), "Not shown"),
    ],
)
def test_a_gain_over_the_baseline_counts_only_if_the_controls_are_beaten_too(
    results: Path, beaten: tuple[str, ...], verdict: str
) -> None:
    banks = tiny.CONFIG["banks"] | {"neighbours": {"kind": "neighbours"}}
    tiny.write_config(results / "tiny", banks=banks, retraining={"gen-dino": {"bank": "default"}} | CONTROLS)
    values = {"dino": 0.6, "gen-dino": 0.7} | {name: 0.65 if name in beaten else 0.75 for name in CONTROLS}
    tiny.write_scores(results / "tiny", values, seeds=tuple(range(8)))
    html = claim(Run(results / "tiny", results / "images"), "gen-dino", "tissue", COLUMN)
    assert html.startswith(f"<b>{verdict}:</b>")
    missed = [name for name in ("longer", "nearest", "shuffled") if name not in beaten]
    assert all(f"not that it is better than {name}" in html for name in missed)
    assert ("better than each control (longer, nearest, shuffled)" in html) is (verdict == "Yes")
    assert f"Minus its controls: longer {0.05 if 'longer' in beaten else -0.05:+.3f}" in html


def test_a_control_that_was_not_compared_is_not_beaten(results: Path) -> None:
    arms = {"gen-dino": {"bank": "default"}, "longer": {"match_compute": "gen-dino"}}
    tiny.write_config(results / "tiny", retraining=arms)
    html = claimed(results, [0.1 + i / 100 for i in range(8)])
    assert "not that it is better than longer" in html
    assert "<b>Yes" not in html


def test_very_small_p_values_are_bounds(results: Path) -> None:
    assert "p < 0.001" in claimed(results, [0.1 + i / 100 for i in range(14)])


def test_one_seed_gets_an_interval_over_test_items(results: Path) -> None:
    html = claimed(results, [0.03], (0.01, 0.05, 0.02))
    assert "one seed, which says nothing about other seeds" in html
    assert "95 % interval +0.010 to +0.050." in html


def test_class_consistency_of_the_bank_follows_the_comparison(results: Path) -> None:
    assert "Class consistency" not in claimed(results, [0.03])
    consistency = {"ratio": {"value": 0.93, "low": None, "high": None}}
    write_json(results / "tiny/bank/default/seed0/quality.json", {"class_consistency": consistency})
    assert "Class consistency of its bank: 0.93 times that of real images" in claimed(results, [0.03])


def test_one_bank_for_all_seeds_is_reported(results: Path) -> None:
    tiny.write_config(results / "tiny", seeds=[0, 1])
    assert "share one bank" not in claimed(results, [0.03, 0.04])
    tiny.write_config(results / "tiny", seeds=[0, 1], banks={"default": tiny.CONFIG["banks"]["default"] | {"seed": 0}})
    assert "All seeds share one bank (that of seed 0)" in claimed(results, [0.03, 0.04])


def test_missing_comparison_is_reported(results: Path) -> None:
    (results / "tiny/comparisons.csv").unlink()
    assert "no retrained encoder to compare" in answer(Run(results / "tiny", results / "images"))


def test_transductive_evaluation_is_reported(results: Path) -> None:
    assert "saw test images, without labels" in answer(Run(results / "tiny", results / "images"))
    for path in (results / "tiny/evaluation").glob("*/*/*/*.json"):
        write_json(path, read_json(path) | {"transductive": False})
    assert "saw test images" not in answer(Run(results / "tiny", results / "images"))


def test_results_that_the_config_no_longer_names_are_ignored(results: Path) -> None:
    before = answer(Run(results / "tiny", results / "images"))
    left = {"protocol": "of yesterday", "transductive": True, "skipped": ""}
    for where in ("gen-old/tissue/seed0", "dino/gone/seed0", "dino/tissue/seed7"):
        write_json(results / "tiny/evaluation" / where / "knn.json", left)
    assert answer(Run(results / "tiny", results / "images")) == before


def measured_as(results: Path, **fields: object) -> Run:
    """The tiny run with other fields in the k-NN evaluation of all encoders."""
    for path in (results / "tiny/evaluation").glob("*/*/*/knn.json"):
        write_json(path, read_json(path) | fields)
    return Run(results / "tiny", results / "images")


@pytest.mark.parametrize(
    ("fields", "caveat"),
    [
        (
            {"unlabelled_test": True},
            "No image of the test split has a label: training images were tested instead, by cross-validation.",
        ),
        ({"unlearnt_classes": ["a<b", "c"]}, "Test classes without a training item: a&lt;b, c (counted, although"),
        ({"n_ungrouped": 5}, "No group (patient, case) is given:"),
        ({"n_ungrouped": 2}, "No group (patient, case) is given for 2 of 5 test items:"),
    ],
)
def test_caveats_are_shown_with_the_metrics(results: Path, fields: dict, caveat: str) -> None:
    before = page(measured_as(results))
    assert caveat not in before
    run = measured_as(results, **fields)
    assert answer(run).count(caveat) == 1
    assert all_encoders(run).count(f"knn: {caveat}") == 1


def test_few_groups_are_reported_as_a_caveat(results: Path) -> None:
    html = answer(measured_as(results, n_groups=7))
    assert "<b>7 groups</b>" in html
    assert "<b>3 groups</b>" in html  # of the other main metric
    assert "<b>8 groups</b>" not in answer(measured_as(results, n_groups=8))


def test_bags_of_groups_are_counted_as_groups(results: Path) -> None:
    tiny.write_config(results / "tiny", evaluation=tiny.CONFIG["evaluation"] | {"bags": "group"})
    html = answer(Run(results / "tiny", results / "images"))
    assert "Tested on 5 groups." in html
    assert "5 slides" not in html


def test_skipped_tasks_are_listed_with_their_reason(run: Run) -> None:
    assert answer(run).count("linear was not measured on tissue: fewer than two classes.") == 1


def test_absent_values_and_intervals_are_left_out(results: Path) -> None:
    path = results / "tiny/summary.csv"
    with open(path, newline="") as stream:
        header, *rows = csv.reader(stream)
    rows = [[*row[:5], "nan" if row[0] == "pixels" else row[5], "", "", *row[8:]] for row in rows]
    write_table(path, header, rows, delimiter=",")
    html = answer(Run(results / "tiny", results / "images"))
    assert "nan" not in html
    assert "raw pixels" not in html
    assert "gen-dino</b> 0.640 compared with dino 0.610" in html


@pytest.mark.parametrize(("pixels", "warned"), [(0.6, False), (0.61, True)])
def test_dino_no_better_than_pixels_is_reported_as_a_warning(results: Path, pixels: float, warned: bool) -> None:
    tiny.write_scores(results / "tiny", tiny.VALUES | {"pixels": pixels})
    html = answer(Run(results / "tiny", results / "images"))
    assert ("dino is no better than raw pixels" in html) is warned


def test_run_without_retraining_answers_about_dino(results: Path) -> None:
    tiny.write_config(results / "tiny", banks={}, retraining={})
    tiny.write_scores(results / "tiny", {"dino": 0.6, "random": 0.4})
    html = answer(Run(results / "tiny", results / "images"))
    assert '<b class="accent">dino</b> 0.600' in html
    assert "no retrained encoder to compare with dino" in html
