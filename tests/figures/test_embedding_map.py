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

from gensis.figures.embedding_map import THUMBNAIL_PX, embedding_map, principal_components
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


def test_points_fill_the_map(mapped: Run) -> None:
    for axis in "xy":
        places = [float(place) for place in re.findall(rf"--{axis}:([\d.]+)", embedding_map(mapped))]
        assert (min(places), max(places)) == (2, 98)


@pytest.mark.parametrize("missing", ["embeddings/dino/tissue/seed0", "evaluation/dino/tissue/seed0"])
def test_without_embeddings_or_predictions_there_is_no_map(results: Path, mapped: Run, missing: str) -> None:
    for path in (results / "tiny" / missing).glob("*.h5"):
        path.unlink()
    assert embedding_map(mapped) == ""
