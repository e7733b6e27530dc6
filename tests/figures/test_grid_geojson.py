"""The tile grid as GeoJSON for QuPath."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.figures import tiny

from gensis.artifacts.tables import write_table
from gensis.figures.grid_geojson import feature_collection
from gensis.figures.slide_view import Grid
from gensis.figures.tile_status import TILE_STATUSES
from gensis.slides.geojson import rasterise, read_polygons

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/export_geojson.py"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of a slide with two tiles in the store, one of low quality, and two left out."""
    tmp_path = tmp_path_factory.mktemp("exported")
    rejected = {(1024, 0): "pen", (2048, 1024): "little_tissue"}
    tiles = [tiny.flat((0, 0, 0))] * 2
    tiny.write_slide(tmp_path / "slide.h5", [(0, 0), (512, 0)], tiles, rejected=rejected, focus=[9.25, 1.0])
    tiny.write_slide_without_thumbnail(tmp_path / "broken.h5")
    rows = [("slide", "ok", 2), ("broken", "unreadable", 0)]
    write_table(tmp_path / "units.tsv", ("unit", "outcome", "images"), rows)
    arguments = ["--units", tmp_path / "units.tsv", "--output", tmp_path, "--config", '{"minimum": {"focus": 2}}']
    subprocess.run([sys.executable, SCRIPT, *arguments], check=True)
    return tmp_path


def test_every_tile_has_class_colour_and_scores(exported: Path) -> None:
    document = json.loads((exported / "slide.geojson").read_text())
    assert document["type"] == "FeatureCollection"
    properties = [feature["properties"] for feature in document["features"]]
    assert {each["objectType"] for each in properties} == {"tile"}
    names = ["kept", "low_quality", "pen", "little_tissue"]
    assert [each["classification"] for each in properties] == [
        {"name": name, "color": list(TILE_STATUSES[name].colour)} for name in names
    ]
    assert [each["measurements"] for each in properties] == [
        {"tissue_fraction": 0.0, "focus": 9.25},
        {"tissue_fraction": 1.0, "focus": 1.0},
        {"tissue_fraction": 0.25},
        {"tissue_fraction": 0.25},
    ]


def test_rings_are_closed_rectangles_of_the_exact_size() -> None:
    grid = Grid(np.array([[100, 200]]), np.zeros(1, np.uint8), 513.25, 511.5)
    document = json.loads("".join(feature_collection(grid, {})))
    ring = document["features"][0]["geometry"]["coordinates"][0]
    assert ring == [[100, 200], [613.25, 200], [613.25, 711.5], [100, 711.5], [100, 200]]


def test_nan_scores_are_left_out() -> None:
    grid = Grid(np.array([[0, 0]]), np.zeros(1, np.uint8), 1.0, 1.0)
    scores = {"focus": np.array([np.nan], np.float32), "pen_fraction": np.array([0.1], np.float32)}
    text = "".join(feature_collection(grid, scores))
    assert "NaN" not in text
    assert json.loads(text)["features"][0]["properties"]["measurements"] == {"pen_fraction": 0.1}


def test_a_slide_without_a_grid_gives_an_empty_collection(exported: Path) -> None:
    assert json.loads((exported / "broken.geojson").read_text()) == {"type": "FeatureCollection", "features": []}


def test_written_grid_can_be_read_as_annotations(exported: Path) -> None:
    polygons = read_polygons(exported / "slide.geojson")
    assert [polygon.class_name for polygon in polygons] == ["kept", "low_quality", "pen", "little_tissue"]
    side = tiny.SLIDE_SIDE_LEVEL0 // tiny.TILE_LEVEL0
    found = rasterise([polygon for polygon in polygons if polygon.class_name == "pen"], tiny.TILE_LEVEL0, (side, side))
    assert np.argwhere(found).tolist() == [[0, 2]]
