"""Training curves."""

import math
import re
from pathlib import Path

import pytest
from tests.figures.tiny import write_config, write_scores, write_training

from gensis.artifacts.files import read_json, write_json
from gensis.artifacts.tables import write_table
from gensis.figures.chart import Axis, Line, line_chart
from gensis.figures.curves import curves
from gensis.figures.run import Run

NAN = float("nan")
SUMMARY = ("encoder", "dataset", "seed", "task", "metric", "value", "low", "high", "n")


def polylines(svg: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline class="[^"]*" points="([^"]*)"', svg.split('<ul class="legend">')[0])
    return [[tuple(map(float, point.split(","))) for point in points.split()] for points in found]


def test_higher_values_lie_higher_and_later_steps_further_right() -> None:
    ((first, second),) = polylines(line_chart([Line("a", [10, 20], [1.0, 2.0], colour=0)], "step", "loss"))
    assert first[0] < second[0]
    assert first[1] > second[1]


def test_curves_share_their_axes() -> None:
    short, long = polylines(
        line_chart([Line("a", [0, 10], [0, 1], colour=0), Line("b", [0, 20], [0, 2], colour=1)], "x", "y")
    )
    assert short[0] == long[0]
    assert short[1][0] - short[0][0] == pytest.approx((long[1][0] - long[0][0]) / 2, abs=0.1)


def test_values_that_are_not_finite_are_left_out() -> None:
    (points,) = polylines(line_chart([Line("a", [1, 2, 3, 4], [1.0, NAN, math.inf, 2.0], colour=0)], "step", "loss"))
    assert len(points) == 2
    assert line_chart([Line("a", [1], [NAN], colour=0)], "step", "loss") == ""


def test_one_point_and_equal_values_can_be_drawn() -> None:
    assert "<circle" in line_chart([Line("a", [5], [1.0], colour=0)], "step", "loss")
    assert "nan" not in line_chart([Line("a", [5, 6], [1.0, 1.0], colour=0)], "step", "loss")


@pytest.mark.parametrize(("value", "ends"), [(0, (0, 1)), (30, (0, 30)), (-2, (-2, 0))])
def test_the_axis_of_equal_values_begins_or_ends_at_zero(value: float, ends: tuple[float, float]) -> None:
    chart = line_chart([Line("a", [5, 6], [value, value], colour=0)], "step", "share")
    labels = re.findall(r'text-anchor="end">([-0-9.]+)</text>', chart.split('text-anchor="middle"')[0])
    ticks = [float(label) for label in labels]
    assert (min(ticks), max(ticks)) == ends


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 100, [0, 20, 40, 60, 80, 100]), (0.31, 0.49, [0.35, 0.4, 0.45]), (-1, 1, [-1, -0.5, 0, 0.5, 1])],
)
def test_ticks_are_round_and_within_the_axis(low: float, high: float, expected: list[float]) -> None:
    assert Axis(low, high, 0, 100).ticks() == pytest.approx(expected)


def test_entropy_of_a_uniform_output_is_shown(run: Run) -> None:
    assert "ln K, K = 1,024" in curves(run)


def test_losses_are_compared_with_that_of_equal_outputs_if_it_is_known(results: Path) -> None:
    assert "nothing learnt: 6.93" in curves(Run(results / "tiny", results / "images"))
    for path in (results / "tiny/encoders").glob("*/seed0/provenance.json"):
        write_json(path, read_json(path) | {"resolved": {}, "uniform_loss": None})
    html = curves(Run(results / "tiny", results / "images"))
    assert "<b>Loss of the encoders.</b> Solid: DINO term" in html
    assert "nothing is learnt" not in html


def test_axes_are_named_and_every_encoder_is_in_the_legend(run: Run) -> None:
    html = curves(run)
    for name in ("step", "teacher entropy (nats)", "loss"):
        assert re.search(rf'<text class="name"[^>]*>{re.escape(name)}</text>', html)
    for encoder in ("dino", "gen-dino"):
        assert f"</svg>{encoder}</li>" in html


def test_monitored_metrics_are_drawn_where_the_history_has_them(tmp_path: Path) -> None:
    rows = [(10, 5.1, 3.0, 5.5, "", "", 900.0, 0.5, 0.1), (20, 4.2, 2.0, 5.4, 31.5, 0.75, 910.0, 0.4, 0.2)]
    monitored = ("rankme", "view_retrieval", "images_per_second", "gradient_norm", "contrast_accuracy")
    write_config(tmp_path / "run")
    write_scores(tmp_path / "run")
    write_training(
        tmp_path / "run/encoders/dino/seed0", ("dino", "teacher_entropy", "teacher_batch_entropy", *monitored), rows
    )
    html = curves(Run(tmp_path / "run", tmp_path / "images"))
    for name in (
        "contrast accuracy (share)",
        "RankMe (dimensions)",
        "view retrieval (share)",
        "gradient norm",
        "images/s",
    ):
        assert f">{name}</text>" in html
    assert html.count("<circle") == 2  # metrics with a single value


def test_knn_accuracy_during_training_is_drawn_for_one_k(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_config(run)
    write_scores(run)
    write_training(run / "encoders/dino/seed0", ("dino",), [(10, 5.1), (20, 4.2)])
    write_training(run / "encoders/gen-dino/seed0", ("dino",), [(10, 5.1)])
    lines = [(step, k, k / 100 + step / 1000, 99) for step in (10, 20, 30) for k in (5, 20, 100)]
    chance = [("chance", "tissue", 0, "knn", "accuracy_k20", 0.25, "", "", 5)]
    write_table(run / "summary.csv", SUMMARY, chance, delimiter=",")
    write_table(
        run / "evaluation/dino/tissue/seed0/knn_history.csv", ("step", "k", "accuracy", "n"), lines, delimiter=","
    )
    write_table(
        run / "evaluation/gen-dino/tissue/seed0/knn_history.csv", ("step", "k", "accuracy", "n"), [], delimiter=","
    )
    (chart,) = [part for part in curves(Run(run, tmp_path / "images")).split("<figure") if "k-NN accuracy" in part]
    assert "20 nearest neighbours" in chart
    ((first, *_, last),) = polylines(chart)
    assert first[1] > last[1]
    assert ">chance</text>" in chart
