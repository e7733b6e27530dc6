"""The grid of sources and generated images, recognised by their colours."""

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.figures import tiny

from gensis.figures.bank_grid import ALPHA, bank_grid
from gensis.figures.run import Run

CELL = re.compile(r'<figure><img src="data:image/png;base64,([^"]*)"[^>]*><figcaption>(.*?)</figcaption></figure>')


def cells(row: str) -> list[tuple[str, tuple[int, ...]]]:
    """Caption and colour of each image, which must be flat."""
    found = []
    for encoded, caption in CELL.findall(row):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))).reshape(-1, 3)
        assert (pixels == pixels[0]).all()
        found.append((caption, tuple(pixels[0].tolist())))
    return found


def test_each_row_shows_source_generated_images_and_partner(run: Run) -> None:
    rows = bank_grid(run).split('<div class="strip"')[1:]
    assert len(rows) == tiny.TRAIN_ROWS
    for source, row in enumerate(rows):
        assert cells(row) == [
            ("source", tiny.source_colour(source)),
            ("generative", tiny.generative_colour(source, 0)),
            ("generative", tiny.generative_colour(source, 1)),
            (f"{ALPHA} = 0.75", tiny.interpolated_colour(source, 0.75)),
            (f"{ALPHA} = 0.25", tiny.interpolated_colour(source, 0.25)),
            ("partner", tiny.source_colour((source + 1) % tiny.TRAIN_ROWS)),
        ]


def test_small_images_keep_sharp_pixels(run: Run) -> None:
    images = re.findall(r"<img[^>]*>", bank_grid(run))
    assert images
    assert all("class=crisp" in image for image in images)


@pytest.mark.parametrize("kind", ["generative", "interpolated"])
def test_bank_with_one_kind_of_images_is_shown(results: Path, run: Run, kind: str) -> None:
    for path in (results / "tiny/bank/default/seed0").glob(f"{kind}-*.h5"):
        path.unlink()
    labels = {caption for caption, _ in cells(bank_grid(run))}
    others = {"generative"} if kind == "interpolated" else {f"{ALPHA} = 0.75", f"{ALPHA} = 0.25", "partner"}
    assert labels == {"source"} | others


def test_missing_sources_are_reported(results: Path, run: Run) -> None:
    shutil.rmtree(results / "images")
    assert "source images are missing" in bank_grid(run)
