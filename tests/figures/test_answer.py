"""What the page says in words, and what it lets be claimed."""

import csv
from pathlib import Path

import pytest
from scipy.stats import binomtest
from tests.figures import tiny

from gensis.artifacts.tables import write_table
from gensis.figures.answer import answer, claim, sign_test
from gensis.figures.run import Run
from gensis.figures.scores import Column, Score, Scores

COLUMN = Column("knn", "balanced_accuracy_k20", "k-NN")
NAN = float("nan")


def scores(values: dict[str, list[float]]) -> Scores:
    """Scores of encoders by seed."""
    lines = [
        Score(encoder, "tissue", seed, COLUMN.task, COLUMN.metric, value, NAN, NAN, 10)
        for encoder, by_seed in values.items()
        for seed, value in enumerate(by_seed)
    ]
    return Scores(lines, ["gen-dino"])


def test_answer_names_the_value_the_baselines_and_the_interval(run: Run) -> None:
    html = answer(run)
    assert '<b class="accent">gen-dino</b> 0.640 <small>[0.540, 0.740]</small>' in html
    for expected in ("dino 0.610", "an untrained encoder 0.450", "raw pixels 0.400", "chance 0.333", "5 slides tested"):
        assert expected in html


def test_few_seeds_are_not_evidence(run: Run) -> None:
    assert "one run of 1 seed: not evidence of a difference" in answer(run)
    assert "one run of 5 seeds: not evidence" in claim(
        scores({"dino": [0.1] * 5, "gen-dino": [0.9] * 5}), "gen-dino", "tissue", COLUMN
    )


@pytest.mark.parametrize(("gains", "verdict"), [([0.1] * 6, ": evidence"), ([0.1] * 5 + [-0.1], ": not evidence")])
def test_six_seeds_are_judged_by_a_sign_test(gains: list[float], verdict: str) -> None:
    ours = {"dino": [0.5] * 6, "gen-dino": [0.5 + gain for gain in gains]}
    assert verdict in claim(scores(ours), "gen-dino", "tissue", COLUMN)


def test_seeds_are_compared_in_pairs() -> None:
    text = claim(scores({"dino": [0.5, 0.7], "gen-dino": [0.6]}), "gen-dino", "tissue", COLUMN)
    assert "+0.100, one run of 1 seed" in text


@pytest.mark.parametrize(("higher", "n"), [(6, 6), (0, 6), (5, 6), (3, 6), (9, 10), (0, 0)])
def test_sign_test_agrees_with_scipy(higher: int, n: int) -> None:
    assert sign_test(higher, n) == pytest.approx(binomtest(higher, n).pvalue if n else 1.0)


def test_transductive_is_said_only_of_images_that_were_trained_on(results: Path) -> None:
    assert "saw the test images, unlabelled" in answer(Run(results / "tiny", results / "images"))
    datasets = tiny.CONFIG["datasets"] | {"other": tiny.CONFIG["datasets"]["tissue"]}
    tiny.write_config(results / "tiny", datasets=datasets, pretraining={"dataset": "other", "image_px": 16})
    assert "saw the test images" not in answer(Run(results / "tiny", results / "images"))


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


def test_run_without_retraining_answers_about_dino(results: Path) -> None:
    tiny.write_config(results / "tiny", banks={}, retraining={})
    tiny.write_scores(results / "tiny", {"dino": 0.6, "random": 0.4})
    html = answer(Run(results / "tiny", results / "images"))
    assert '<b class="accent">dino</b> 0.600' in html
    assert "no pair of a retrained encoder and dino" in html
