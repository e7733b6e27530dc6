"""What the page says in words, and what it lets be claimed."""

import csv
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.artifacts.files import read_json, write_json
from gensis.artifacts.tables import write_table
from gensis.evaluation.comparisons import write_comparisons
from gensis.evaluation.paired import Comparison, Pair
from gensis.evaluation.statistics import Estimate, over_seeds
from gensis.figures.answer import answer, claim
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
    """What is claimed of gen-dino with a gain over dino a seed, and low, high and p over the items of seed 0."""
    path = results / "tiny/comparisons.csv"
    what = ("tissue", COLUMN.task, COLUMN.metric)
    found = [Comparison(Pair("gen-dino", "dino"), *what, None, over_seeds(gains))]
    if items:
        low, high, p = items
        of_items = Estimate(100, gains[0], low, high, "bootstrap", p, "mcnemar")
        found.append(Comparison(Pair("gen-dino", "dino"), *what, 0, of_items))
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
        "5 slides of 3 groups tested",
    ):
        assert expected in html


def test_dino_with_as_many_passes_stands_beside_the_method(results: Path) -> None:
    retraining = tiny.CONFIG["retraining"] | {"dino-longer": {"match_compute": "gen-dino"}}
    tiny.write_config(results / "tiny", retraining=retraining)
    tiny.write_scores(results / "tiny", tiny.VALUES | {"dino-longer": 0.62})
    html = answer(Run(results / "tiny", results / "images"))
    assert "against dino 0.610" in html
    assert "dino-longer (dino with as many passes) 0.620" in html


def test_the_answer_comes_first_and_names_the_difference(run: Run) -> None:
    first = answer(run).partition("</p>")[0]
    assert "Does gen-dino beat dino on <b>tissue</b>" in first
    assert "<b>Too few seeds to claim</b>" in first
    assert "gen-dino &minus; dino = +0.030 with one seed" in first


def test_the_answer_is_about_the_arm_with_the_method_whatever_its_name(results: Path) -> None:
    arms = {"ours": {"bank": "default"}, "a-control": {"bank": "default", "shuffle_bank": True}}
    arms |= {"gen-dino": {"bank": "default", "disentangle_weight": 0}}
    tiny.write_config(results / "tiny", retraining=arms)
    tiny.write_scores(results / "tiny", {"dino": 0.6, "ours": 0.7, "a-control": 0.2, "gen-dino": 0.65})
    run = Run(results / "tiny", results / "images")
    assert "Does ours beat dino on" in answer(run)
    assert run.scores.encoders == ["dino", "ours", "a-control", "gen-dino", "chance"]


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_few_seeds_are_too_few_to_claim_however_large_the_gain(results: Path, seeds: int) -> None:
    html = claimed(results, [0.8 + i / 100 for i in range(seeds)])
    assert "<b>Too few seeds to claim</b>" in html
    assert "no evidence" not in html
    assert "A claim needs at least 6 seeds" in html
    assert ("95 % interval" in html) is (seeds > 1)


def test_few_seeds_whose_interval_holds_no_difference_show_nothing(results: Path) -> None:
    html = claimed(results, [0.1, -0.1, 0.05, 0.02, -0.03])
    assert "<b>Not shown:</b>" in html
    assert "A claim needs at least 6 seeds" in html


@pytest.mark.parametrize(("seeds", "verdict"), [(6, "Too few seeds to claim"), (7, "Yes:")])
def test_several_main_figures_are_corrected_together(results: Path, seeds: int, verdict: str) -> None:
    """Both figures of the tiny run gain with each seed: p = 2 / 2^n, and twice that with Holm."""
    tiny.write_scores(results / "tiny", seeds=tuple(range(seeds)))
    html = answer(Run(results / "tiny", results / "images"))
    assert html.count(f"<b>{verdict}</b>") == 2
    if seeds == 6:
        assert html.count("A claim of 2 main figures needs at least 7 seeds") == 2
    else:
        assert html.count("p = 0.016, 0.031 corrected (Holm) for 2 main figures.") == 2
    filled = differences(Run(results / "tiny", results / "images")).count('class="mean sure"')
    assert filled == (0 if seeds == 6 else 2 * 3)


def test_holms_correction_is_that_of_its_steps() -> None:
    """Rejected at a level: the smallest p-values in order, as long as each is at most level / number left."""
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
def test_seeds_for_a_claim_are_the_fewest_whose_test_can_reach_it(figures: int, seeds: int) -> None:
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
        ([0.001, 0.002, 0.001, 0.003, 0.001, 0.06], "Not shown"),  # six of one sign, and an interval with 0
    ],
)
def test_six_seeds_are_judged_by_a_test(results: Path, gains: list[float], verdict: str) -> None:
    html = claimed(results, gains)
    assert f"<b>{verdict}:</b>" in html
    assert f"p = {over_seeds(gains).p:.3f}" in html


def test_with_one_seed_the_items_tested_say_how_sure_its_difference_is(results: Path) -> None:
    html = claimed(results, [0.03], (0.01, 0.05, 0.02))
    assert "one seed, which says nothing of other seeds" in html
    assert "95 % interval +0.010 to +0.050, exact McNemar test p = 0.020" in html


def test_the_class_that_the_bank_keeps_stands_beside_the_comparison(results: Path) -> None:
    assert "keep their class" not in claimed(results, [0.03])
    kept = {"ratio": {"value": 0.93, "low": None, "high": None}}
    write_json(results / "tiny/bank/default/seed0/quality.json", {"class_consistency": kept})
    assert "keep their class 0.93 times as often as real ones" in claimed(results, [0.03])


def test_one_bank_for_all_seeds_is_said(results: Path) -> None:
    tiny.write_config(results / "tiny", seeds=[0, 1])
    assert "share one bank" not in claimed(results, [0.03, 0.04])
    tiny.write_config(results / "tiny", seeds=[0, 1], banks={"default": tiny.CONFIG["banks"]["default"] | {"seed": 0}})
    assert "All seeds share one bank (that of seed 0)" in claimed(results, [0.03, 0.04])


def test_pairs_without_comparison_are_said(results: Path) -> None:
    (results / "tiny/comparisons.csv").unlink()
    assert "no pair of a retrained encoder" in answer(Run(results / "tiny", results / "images"))


def test_transductive_is_said_where_a_result_says_so(results: Path) -> None:
    assert "saw test images, unlabelled" in answer(Run(results / "tiny", results / "images"))
    for path in (results / "tiny/evaluation").glob("*/*/*/*.json"):
        write_json(path, read_json(path) | {"transductive": False})
    assert "saw test images" not in answer(Run(results / "tiny", results / "images"))


def test_results_that_the_config_does_not_name_any_more_are_not_looked_at(results: Path) -> None:
    before = answer(Run(results / "tiny", results / "images"))
    left = {"protocol": "of yesterday", "transductive": True, "skipped": ""}
    for where in ("gen-old/tissue/seed0", "dino/gone/seed0", "dino/tissue/seed7"):
        write_json(results / "tiny/evaluation" / where / "knn.json", left)
    assert answer(Run(results / "tiny", results / "images")) == before


def measured_as(results: Path, **fields: object) -> Run:
    """The tiny run, whose k-NN of all encoders was measured so."""
    for path in (results / "tiny/evaluation").glob("*/*/*/knn.json"):
        write_json(path, read_json(path) | fields)
    return Run(results / "tiny", results / "images")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"unlabelled_test": True},
            "No image of the test split has a label, so training images were tested, by folds.",
        ),
        ({"unlearnt_classes": ["a<b", "c"]}, "Tested, but in no training part: a&lt;b, c; counted, though"),
        ({"n_ungrouped": 5}, "No group (patient, case) is named:"),
        ({"n_ungrouped": 2}, "No group (patient, case) of 2 of 5 tested is named:"),
    ],
)
def test_what_figures_do_not_show_is_said_where_they_stand(results: Path, fields: dict, said: str) -> None:
    before = page(measured_as(results))
    assert said not in before
    run = measured_as(results, **fields)
    assert answer(run).count(said) == 1
    assert all_encoders(run.scores, run.evaluations).count(f"knn: {said}") == 1


def test_few_groups_are_told_with_what_their_intervals_are_worth(results: Path) -> None:
    html = answer(measured_as(results, n_groups=7))
    assert "<b>7 groups</b>" in html
    assert "<b>3 groups</b>" in html  # of the other main figure
    assert "<b>8 groups</b>" not in answer(measured_as(results, n_groups=8))


def test_bags_of_groups_are_counted_as_groups(results: Path) -> None:
    tiny.write_config(results / "tiny", evaluation=tiny.CONFIG["evaluation"] | {"bags": "group"})
    html = answer(Run(results / "tiny", results / "images"))
    assert "5 groups tested" in html
    assert "slides tested" not in html


def test_skipped_tasks_are_said_with_their_reason(run: Run) -> None:
    assert answer(run).count("linear was not measured: fewer than two classes.") == 1


def test_absent_values_and_intervals_are_left_out(results: Path) -> None:
    path = results / "tiny/summary.csv"
    with open(path, newline="") as stream:
        header, *rows = csv.reader(stream)
    rows = [[*row[:5], "nan" if row[0] == "pixels" else row[5], "", "", row[8]] for row in rows]
    write_table(path, header, rows, delimiter=",")
    html = answer(Run(results / "tiny", results / "images"))
    assert "nan" not in html
    assert "raw pixels" not in html
    assert "gen-dino</b> 0.640 against dino 0.610" in html


@pytest.mark.parametrize(("pixels", "said"), [(0.6, False), (0.61, True)])
def test_an_encoder_that_is_no_better_than_pixels_is_said_to_have_learnt_nothing(
    results: Path, pixels: float, said: bool
) -> None:
    tiny.write_scores(results / "tiny", tiny.VALUES | {"pixels": pixels})
    html = answer(Run(results / "tiny", results / "images"))
    assert ("dino is not above raw pixels" in html) is said


def test_run_without_retraining_answers_about_dino(results: Path) -> None:
    tiny.write_config(results / "tiny", banks={}, retraining={})
    tiny.write_scores(results / "tiny", {"dino": 0.6, "random": 0.4})
    html = answer(Run(results / "tiny", results / "images"))
    assert '<b class="accent">dino</b> 0.600' in html
    assert "no pair of a retrained encoder and dino" in html
