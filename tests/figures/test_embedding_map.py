"""The map of embeddings, whose images are recognised by their colours."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from tests.figures import tiny

from gensis.figures.embedding_map import (
    MOST_COLOURS,
    THUMBNAIL_PX,
    Points,
    class_table,
    embedding_map,
    legend,
    principal_components,
)
from gensis.figures.run import Run


@pytest.fixture
def mapped(results: Path) -> Run:
    tiny.write_measured_embeddings(results / "tiny")
    return Run(results / "tiny", results / "images")


def test_coordinates_equal_scikit_learn_up_to_sign() -> None:
    features = np.random.default_rng(1).normal(size=(50, 8)) * np.arange(1, 9)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    reference = PCA(2).fit(unit)
    x, y, share = principal_components(features)
    for ours, theirs in zip((x, y), reference.transform(unit).T):
        assert np.abs(ours) == pytest.approx(np.abs(theirs))
        assert ours[np.abs(ours).argmax()] > 0
    assert share == pytest.approx(reference.explained_variance_ratio_.sum())


def test_each_point_has_its_image_and_the_colour_of_its_label(mapped: Run) -> None:
    html = embedding_map(mapped)
    sheet = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^']*)'", html)[1])))
    points = re.findall(r"--u:(\d+);--v:(\d+);--c:var\(--k(\d)\)", html)
    assert len(points) == len(tiny.TESTED)
    for (u, v, label), row, expected in zip(points, sorted(tiny.TESTED), (0, 0, 1)):
        centre = [int(place) * THUMBNAIL_PX + THUMBNAIL_PX // 2 for place in (u, v)]
        assert sheet.getpixel(tuple(centre)) == pytest.approx(tiny.source_colour(row), abs=6)
        assert int(label) == expected


def test_table_of_a_map_has_number_centre_and_nearest_neighbours_of_each_class() -> None:
    features = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]])
    points = Points(np.arange(4), np.array([0, 0, 1, 0]), ("a", "b", "absent"))
    html = class_table(features, points, ([0.0, 10.0, 90.0, 80.0], [50.0, 50.0, 20.0, 20.0]))
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)[1:]]
    assert rows == [["a", "3", "30", "40", "67%"], ["b", "1", "90", "20", "0%"]]


def test_classes_of_one_colour_differ_in_shape() -> None:
    drawn = re.findall(r"<(?:circle|path) .*?/>", legend([f"class {number}" for number in range(MOST_COLOURS)]))
    assert len(set(drawn)) == MOST_COLOURS


def test_points_fill_the_map(mapped: Run) -> None:
    for axis in "xy":
        places = [float(place) for place in re.findall(rf"--{axis}:([\d.]+)", embedding_map(mapped))]
        assert (min(places), max(places)) == (2, 98)


@pytest.mark.parametrize("missing", ["embeddings/dino/tissue/seed0", "evaluation/dino/tissue/seed0"])
def test_without_embeddings_or_predictions_there_is_no_map(results: Path, mapped: Run, missing: str) -> None:
    for path in (results / "tiny" / missing).glob("*.h5"):
        path.unlink()
    assert embedding_map(mapped) == ""
