"""Attention maps of slides."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.figures import tiny

from gensis.evaluation.predictions import Predictions, write_predictions
from gensis.figures.attention import FULL_AT, HEAT, attention, draw_attention
from gensis.figures.run import Run
from gensis.figures.slide_view import read_slide

FOLDER = "tiny/evaluation/gen-dino/tissue/seed0"


def write_attention(results: Path, weights: dict[str, list[float]]) -> None:
    (results / FOLDER).mkdir(parents=True, exist_ok=True)
    with h5py.File(results / FOLDER / "attention.h5", "w") as file:
        for slide, values in weights.items():
            file[f"coords/{slide}"] = np.array(tiny.COORDS_LEVEL0[slide], np.int64)
            file[f"slides-abmil/{slide}"] = np.array(values, np.float32)


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


def test_tiles_with_more_attention_are_redder(results: Path) -> None:
    view = read_slide(results / "images/tissue/slide-a.h5")
    coords = np.array(tiny.COORDS_LEVEL0["slide-a"])
    drawn = draw_attention(view, coords, np.array([0.1, 0.2, 0.7], np.float32))
    scale = drawn.width / tiny.SLIDE_SIDE_LEVEL0
    colours = [drawn.getpixel(tuple(int((x + tiny.TILE_LEVEL0 / 2) * scale) for x in corner)) for corner in coords]
    distance = [np.abs(np.subtract(colour, HEAT)).sum() for colour in colours]
    assert distance[0] > distance[1] > distance[2]
    assert drawn.getpixel((drawn.width - 1, drawn.height - 1)) == (255, 255, 255)


def test_colour_is_relative_to_uniform_attention(results: Path) -> None:
    view = read_slide(results / "images/tissue/slide-a.h5")
    even = draw_attention(view, np.array(tiny.COORDS_LEVEL0["slide-a"]), np.full(3, 1 / 3, np.float32))
    expected = 255 + 0.8 / FULL_AT * (np.array(HEAT) - 255)
    assert even.getpixel((2, 2)) == pytest.approx(expected, abs=2)


def test_run_without_attention_has_no_section(run: Run) -> None:
    assert attention(run) == ""
