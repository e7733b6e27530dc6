"""The picture of view distances in the report."""

import re
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.artifacts.files import write_json
from gensis.figures.labels import place
from gensis.figures.page import page
from gensis.figures.run import Run
from gensis.figures.view_distance import view_distances

REAL = {
    "views": (0.0, 0.40),
    "neighbours": (0.30, 0.387),
    "same_class": (0.88, 0.51),
    "others": (1.0, 0.13),
}
"""Kind -> relative distance and class consistency."""


def write_distances(results: Path, banks: dict[str, tuple[float, float | None]], evaluation: dict = {}) -> Run:
    """A run with banks at given distances and consistencies, None for those of a data set without labels."""
    tiny.write_config(
        results / "tiny",
        banks={name: {"variants": 1} for name in banks},
        encoders={"neutral": {"timm": "vit_small_patch16_224.dino"}},
        evaluation={"datasets": ["tissue"]} | evaluation,
        retraining={"gen-dino": {"bank": next(iter(banks))}},
    )
    for name, bank in banks.items():
        known = bank[1] is not None
        points = [
            {
                "kind": kind,
                "relative_distance": distance,
                "relative_distance_error": 0.01,
                "class_consistency": consistency if known else None,
                "class_consistency_error": 0.02 if known else None,
                "n": 1000,
            }
            for kind, (distance, consistency) in (REAL | {"bank": bank}).items()
        ]
        found = {"view": 0.2, "other": 0.7, "chance": 0.1 if known else None, "points": points}
        folder = results / f"tiny/bank/{name}/seed0"
        folder.mkdir(parents=True, exist_ok=True)
        quality = {"sources": 1000, "figures": [], "skipped": {}, "view_distance": found}
        write_json(folder / "quality.json", quality)
    return Run(results / "tiny", results / "images")


def centres(html: str) -> dict[str, list[tuple[float, float]]]:
    """Centre of each mark, in px: squares are banks, circles are real images."""
    squares = re.findall(r'<rect class="bank" x="([\d.]+)" y="([\d.]+)" width="(\d+)"', html)
    circles = re.findall(r'<circle class="reference" cx="([\d.]+)" cy="([\d.]+)"', html)
    return {
        "banks": [(float(x) + int(side) / 2, float(y) + int(side) / 2) for x, y, side in squares],
        "real": [(float(x), float(y)) for x, y in circles],
    }


def test_a_point_for_each_bank_and_each_kind_of_real_images_lies_at_its_values(results: Path) -> None:
    banks = {"default": (0.225, 0.387), "far": (0.65, 0.45)}
    html = view_distances(write_distances(results, banks))
    found = centres(html)
    values = [*banks.values(), *REAL.values()]  # both in ascending distance, as they are drawn
    for axis in (0, 1):  # px are a linear function of values
        px = [point[axis] for point in found["banks"] + found["real"]]
        scale = (px[-1] - px[2]) / (values[-1][axis] - values[2][axis])
        expected = [px[2] + scale * (value[axis] - values[2][axis]) for value in values]
        assert px == pytest.approx(expected, abs=0.2)
        assert (scale > 0) is (axis == 0)
    assert html.count("<svg") == 1
    assert html.count(">chance</text>") == 1
    for name in ("bank default", "bank far", "ordinary views", "nearest neighbours", "any other image"):
        assert f">{name}</text>" in html
    assert "<td>0.225<small>± 0.010</small></td><td>0.387<small>± 0.020</small></td><td>1,000</td>" in html


def test_the_good_region_is_right_of_and_above_ordinary_views(results: Path) -> None:
    html = view_distances(write_distances(results, {"default": (0.2, 0.3)}))
    left, top, width, height = map(
        float, re.search(r'class="good" x="([\d.]+)" y="(\d+)" width="([\d.]+)" height="([\d.]+)"', html).groups()
    )
    views = centres(html)["real"][0]
    assert (left, top + height) == pytest.approx(views, abs=0.2)
    assert left + width > max(x for x, _ in centres(html)["real"])


def test_a_page_without_a_judge_says_that_it_understates_distances(results: Path) -> None:
    banks = {"default": (0.2, 0.3)}
    own = view_distances(write_distances(results, banks))
    assert "Judged by dino, which conditions the bank. <b>This understates the distance</b>" in own
    judged = view_distances(write_distances(results, banks, {"judge": "neutral"}))
    assert "Judged by neutral (" in judged
    assert "understates" not in judged


def test_without_labels_there_is_a_table_alone(results: Path) -> None:
    html = view_distances(write_distances(results, {"default": (0.2, None)}))
    assert "<svg" not in html
    assert "<td>0.200<small>± 0.010</small></td><td>&ndash;</td>" in html


def test_a_run_without_view_distances_has_no_picture(run: Run) -> None:
    assert view_distances(run) == ""


def test_the_picture_stands_where_banks_are_judged(results: Path) -> None:
    html = page(write_distances(results, {"default": (0.2, 0.3)}))
    assert "Can the bank teach something?" in html.partition("Is the bank good enough?")[2].partition("<h2>")[0]


def test_labels_of_near_points_do_not_overlap() -> None:
    names = ["bank default", "bank second", "bank third", "ordinary views", "neighbours"]
    points = [(100.0, 100.0), (104.0, 101.0), (110.0, 96.0), (96.0, 104.0), (120.0, 110.0)]
    labels = place(names, points, (0, 0, 300, 200))
    boxes = [label.box(len(name)) for name, label in zip(names, labels)]
    for index, first in enumerate(boxes):
        for second in boxes[:index]:
            apart = first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]
            assert apart
        assert all(not (first[0] < x < first[2] and first[1] < y < first[3]) for x, y in points)


def test_labels_stay_in_the_plot() -> None:
    (label,) = place(["any other image"], [(290.0, 100.0)], (0, 0, 300, 200))
    assert label.anchor == "end"
    assert label.box(len("any other image"))[2] <= 300
