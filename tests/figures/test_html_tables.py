"""Tables of all encoders and metrics."""

import math
import re
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.figures.answer import answer
from gensis.figures.html_tables import all_encoders, all_figures
from gensis.figures.run import Run
from gensis.figures.scores import Column, Score, Scores


def test_every_encoder_and_chance_has_a_row_in_order(run: Run) -> None:
    rows = re.findall(r'<th scope="row">(.*?)</th>', all_encoders(run))
    assert rows == ["dino", "gen-dino", "plain-bank", "random", "pixels", "chance", "test items"]
    tested = all_encoders(run).partition('<th scope="row">test items</th>')[2]
    assert tested.startswith("<td>5<small>3 groups</small></td>")


def test_encoders_are_ordered_around_the_baseline_of_any_method() -> None:
    names = ["dino", "chance", "b", "pixels", "simclr", "theirs", "a", "random"]
    scores = Scores(
        [
            Score(encoder=name, dataset="d", seed=0, task="knn", metric="accuracy_k5", value=0.5, low=0, high=1, n=9)
            for name in names
        ],
        "simclr",
        ["a", "b"],
    )
    assert scores.encoders == ["simclr", "a", "b", "dino", "theirs", "random", "pixels", "chance"]
    assert scores.subject == "a"


def test_a_metric_without_any_value_has_no_column() -> None:
    lines = [
        Score(encoder=name, dataset="d", seed=0, task="knn", metric=f"{metric}_k5", value=value, low=0, high=1, n=9)
        for name in ("dino", "chance")
        for metric, value in (("accuracy", math.nan), ("balanced_accuracy", 0.5))
    ]
    assert [column.metric for column in Scores(lines, "dino", []).columns("d")] == ["balanced_accuracy_k5"]


def test_caption_states_what_each_encoder_is(run: Run) -> None:
    caption = all_encoders(run).partition("<figcaption>")[2]
    for sentence in (
        "dino: pre-trained on real images only.",
        "gen-dino: retrained with the bank default.",
        "pixels: raw pixels in place of embeddings.",
    ):
        assert f" {sentence}" in caption


def test_k_is_the_largest_up_to_20_or_else_the_smallest() -> None:
    def label(*ks: int) -> str:
        lines = [
            Score(
                encoder="dino",
                dataset="d",
                seed=0,
                task="knn",
                metric=f"balanced_accuracy_k{k}",
                value=0.5,
                low=0,
                high=1,
                n=9,
            )
            for k in ks
        ]
        return Scores(lines, "dino", []).columns("d")[0].metric

    assert label(5, 10, 100) == "balanced_accuracy_k10"
    assert label(5, 20, 100) == "balanced_accuracy_k20"
    assert label(100, 50) == "balanced_accuracy_k50"


def test_low_label_probes_follow_the_probe_with_all_labels() -> None:
    tasks = ("linear-10pct", "linear", "linear-1pct", "linear-sgd")
    lines = [
        Score(encoder="dino", dataset="d", seed=0, task=task, metric="balanced_accuracy", value=0.5, low=0, high=1, n=9)
        for task in tasks
    ]
    found = [column.task for column in Scores(lines, "dino", []).columns("d")]
    assert found == ["linear", "linear-sgd", "linear-1pct", "linear-10pct"]


def test_retrieval_corruptions_and_slide_tasks_have_columns() -> None:
    measured = [
        ("retrieval", "average_precision"),
        ("corruptions", "knn_accuracy"),
        ("corruptions", "linear_accuracy"),
        ("slides-dsmil", "quadratic_kappa"),
        ("slides-retrieval", "average_precision"),
    ]
    lines = [
        Score(encoder="dino", dataset="d", seed=0, task=task, metric=metric, value=0.5, low=0, high=1, n=9)
        for task, metric in measured
    ]
    assert [(column.task, column.metric) for column in Scores(lines, "dino", []).columns("d")] == measured


def test_targets_have_columns_with_their_names_and_are_the_main_figure_if_slides_have_no_label() -> None:
    def scores(*measured: tuple[str, str]) -> Scores:
        same = {"encoder": "dino", "dataset": "d", "seed": 0, "value": 0.5, "low": 0, "high": 1, "n": 9}
        return Scores([Score(task=task, metric=metric, **same) for task, metric in measured], "dino", [])

    targets = [("survival-mean-os", "concordance"), ("regression-abmil-age", "r2"), ("regression-abmil-age", "mae")]
    columns = scores(*targets).columns("d")
    assert [column.label for column in columns] == [
        "os: Cox regression of the mean embedding on slides, concordance",
        "age: ABMIL on slides, R²",
    ]
    assert scores(*targets).main_columns("d") == columns[:1]
    of_label = scores(*targets, ("slides-mean", "balanced_accuracy")).main_columns("d")
    assert [column.task for column in of_label] == ["slides-mean"]


def test_seeds_are_averaged_with_their_deviation(results: Path) -> None:
    tiny.write_scores(results / "tiny", seeds=(0, 2))
    run = Run(results / "tiny", results / "images")
    mean = run.scores.mean("dino", "tissue", Column("knn", "balanced_accuracy_k5", ""))
    assert mean.value == pytest.approx(0.611)
    assert (mean.low, mean.high) == pytest.approx((0.51, 0.71))
    assert mean.deviation == pytest.approx(0.002 / 2**0.5)
    assert "0.611<small>0.510 to 0.710</small><small>± 0.001</small>" in all_encoders(run)
    assert "<td>0.333</td>" in all_encoders(run)  # chance has no deviation


def test_external_weights_are_marked_in_table_and_answer(results: Path) -> None:
    summary = results / "tiny/summary.csv"
    header, *lines = summary.read_text().splitlines()
    theirs = [f"{line.replace('dino', 'theirs', 1)},a<b" for line in lines if line.startswith("dino,")]
    lines = [f"{header},external_weights", *(f"{line}," for line in lines), *theirs]
    summary.write_text("\n".join(lines) + "\n")
    run = Run(results / "tiny", results / "images")
    assert run.scores.encoders.index("theirs") < run.scores.encoders.index("random")
    assert all_encoders(run).count("external weights") == 1
    assert "theirs is based on external weights: a&lt;b." in answer(run)


def test_all_lines_of_the_summary_can_be_expanded(run: Run) -> None:
    html = all_figures(run.scores)
    lines = (run.folder / "summary.csv").read_text().splitlines()[1:]
    assert html.startswith("<details>")
    assert html.count("<tr>") == len(lines) + 1
