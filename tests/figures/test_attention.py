"""Attention maps of slides."""

import json
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from tests.figures import tiny
from tests.warm_python import warm_python

from gensis.evaluation.predictions import Predictions, write_predictions
from gensis.evaluation.predictions import write_attention as write_attention_file
from gensis.figures.attended import SlideAttention, read_attention
from gensis.figures.attended_tiles import chosen, extremes, read_tile
from gensis.figures.attention import FULL_AT, attention, draw_attention
from gensis.figures.palette import ATTENTION
from gensis.figures.run import Run
from gensis.figures.slide_view import read_slide

FOLDER = "tiny/evaluation/gen-dino/tissue/seed0"


SCRIPT = Path(__file__).parents[2] / "workflow/scripts/export_attention.py"
TARGETS = {"os": {"survival": {"event": "dead"}}, "age": "regression"}
NAMED = {"a": 1, "b": 2, "c": 3}


def write_attention(results: Path, weights: dict[str, list[float]], task: str = "slides-abmil") -> None:
    (results / FOLDER).mkdir(parents=True, exist_ok=True)
    with h5py.File(results / FOLDER / "attention.h5", "w") as file:
        for slide, values in weights.items():
            file[f"coords/{slide}"] = np.array(tiny.COORDS_LEVEL0[slide], np.int64)
            file[f"{task}/{slide}"] = np.array(values, np.float32)


@pytest.fixture
def attended(results: Path) -> Run:
    write_attention(results, {"slide-a": [0.1, 0.2, 0.7], "slide-b": [0.5, 0.5]})
    two = np.arange(2)
    shares = {"": np.array([[0.9, 0.1], [0.75, 0.25]])}
    predictions = Predictions(
        classes=("healthy", "ill"),
        item=two,
        group=two,
        fold=two,
        label=two,
        probabilities=shares,
        names=("slide-a", "slide-b"),
    )
    write_predictions(results / FOLDER / "predictions.h5", {"slides-abmil": predictions}, {})
    return Run(results / "tiny", results / "images")


def test_caption_has_label_and_predicted_class(attended: Run) -> None:
    html = attention(attended)
    assert "<b>slide-a</b><br>label healthy, predicted healthy (90%)" in html
    assert "<b>slide-b</b><br>label ill, predicted healthy (75%)" in html
    assert "slides-abmil on gen-dino" in html


def test_tiles_with_more_attention_are_greener(results: Path) -> None:
    view = read_slide(results / "images/tissue/slide-a.h5")
    coords = np.array(tiny.COORDS_LEVEL0["slide-a"])
    drawn = draw_attention(view, coords, np.array([0.3, 0.6, 2.1], np.float32))
    scale = drawn.width / tiny.SLIDE_SIDE_LEVEL0
    colours = [drawn.getpixel(tuple(int((x + tiny.TILE_LEVEL0 / 2) * scale) for x in corner)) for corner in coords]
    distance = [np.abs(np.subtract(colour, ATTENTION)).sum() for colour in colours]
    assert distance[0] > distance[1] > distance[2]
    assert drawn.getpixel((drawn.width - 1, drawn.height - 1)) == (255, 255, 255)


def test_colour_is_relative_to_uniform_attention(results: Path) -> None:
    view = read_slide(results / "images/tissue/slide-a.h5")
    even = draw_attention(view, np.array(tiny.COORDS_LEVEL0["slide-a"]), np.ones(3, np.float32))
    expected = 255 + 0.8 / FULL_AT * (np.array(ATTENTION) - 255)
    assert even.getpixel((2, 2)) == pytest.approx(expected, abs=2)


def test_numbers_are_captioned_with_outcome_and_prediction(results: Path) -> None:
    config = {"datasets": {"tissue": {"kind": "slides", "sheet": "slides.csv", "targets": TARGETS}}}
    tiny.write_config(results / "tiny", **config)
    two, names = np.arange(2), ("slide-a", "slide-b")
    same = {"classes": (), "item": two, "group": two, "fold": two, "label": two, "probabilities": {}, "names": names}
    months = Predictions(**same, scores={"time": two + 9.5, "event": two > 0, "risk": two - 0.25})
    ages = Predictions(**same, scores={"value": two + 60.0, "estimate": two + 58.6})
    for task, predictions, expected in (
        ("survival-abmil-os", months, ("observed until 9.5, predicted log risk -0.25", "event at 10.5, predicted")),
        ("regression-abmil-age", ages, ("value 60, predicted 58.6", "value 61, predicted 59.6")),
    ):
        write_attention(results, {"slide-a": [0.1, 0.2, 0.7], "slide-b": [0.5, 0.5]}, task)
        write_predictions(results / FOLDER / "predictions.h5", {task: predictions}, {})
        html = attention(Run(results / "tiny", results / "images"))
        assert f"attention of {task}" in html
        assert all(text in html for text in expected)
        assert "All test slides: most attended." in html


def test_the_most_and_least_attended_tiles_of_each_class_are_shown(attended: Run, monkeypatch) -> None:
    monkeypatch.setattr("gensis.figures.attended_tiles.TILES", 2)
    html = attention(attended)
    rows = dict(
        re.findall(r"Slides of class (\w+: \w+) attended.</p><div class=\"strip\">(.*?)</div>", html, re.DOTALL)
    )
    captions = {name: re.findall(r"<figcaption>([\d.]+)</figcaption>", row) for name, row in rows.items()}
    assert captions == {
        "healthy: most": ["2.10", "0.60"],
        "healthy: least": ["0.30", "0.60"],
        "ill: most": ["1.00", "1.00"],
        "ill: least": ["1.00", "1.00"],
    }


def test_tiles_come_from_as_many_slides_as_possible() -> None:
    corners = np.arange(40).reshape(20, 2)
    slides = [
        SlideAttention(name, corners, np.arange(20, dtype=np.float32) * scale, 20) for name, scale in NAMED.items()
    ]
    most = chosen([extremes(slide, -1) for slide in slides], "most")
    assert [slide for _, slide, _ in most] == ["c"] * 4 + ["b"] * 4 + ["a"] * 2
    assert [corner for _, _, corner in most[:2]] == [(38, 39), (36, 37)]
    least = chosen([extremes(slide, 1) for slide in slides], "least")
    assert {corner for _, _, corner in least} == {(0, 1), (2, 3), (4, 5), (6, 7)}


def test_attention_is_relative_to_that_of_all_slides_of_a_patient(tmp_path) -> None:
    even = np.full(4, 1 / 12, np.float32)
    places = np.zeros((4, 2), np.int64)
    bag = {f"slide-{number}": (np.arange(4), even, 12) for number in range(3)}
    write_attention_file(tmp_path / "attention.h5", {"slides-abmil": bag}, coords=places, attributes={})
    for found in read_attention(tmp_path / "attention.h5", "slides-abmil", list(bag)):
        assert found.relative == pytest.approx(np.ones(4))


def test_a_tile_is_found_by_its_position(results: Path) -> None:
    corner = tiny.COORDS_LEVEL0["slide-a"][2]
    tile = read_tile(results / "images/tissue/slide-a.h5", corner)
    assert tile.getpixel((3, 3)) == tiny.source_colour(2)


def test_maps_are_exported_for_qupath_and_as_pictures(results: Path, attended: Run) -> None:
    folder = results / FOLDER
    arguments = ["--attention", folder / "attention.h5", "--images", results / "images/tissue"]
    done = subprocess.run(
        [warm_python(), SCRIPT, *arguments, "--output", results / "maps"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    features = json.loads((results / "maps/slides-abmil/slide-a.geojson").read_text())["features"]
    corners = [tuple(feature["geometry"]["coordinates"][0][0]) for feature in features]
    assert corners == tiny.COORDS_LEVEL0["slide-a"]
    assert features[2]["properties"]["measurements"] == {"attention": 0.7, "relative_attention": 2.1}
    with Image.open(results / "maps/slides-abmil/slide-b.jpg") as picture:
        assert max(picture.size) == 480


def test_run_without_attention_has_no_section(run: Run) -> None:
    assert attention(run) == ""
