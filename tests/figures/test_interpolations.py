"""Interpolated images, recognised by their colours."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image
from tests.figures import tiny

from gensis.figures.bank_grid import ALPHA
from gensis.figures.interpolations import blended, interpolations
from gensis.figures.run import Run

COLUMN = re.compile(r"<figure>((?:<img[^>]*>)+)<figcaption>(.*?)</figcaption></figure>")


def colours(images: str) -> list[tuple[int, ...]]:
    pictures = (Image.open(io.BytesIO(base64.b64decode(code))) for code in re.findall(r"base64,([^\"]*)", images))
    return [picture.convert("RGB").getpixel((0, 0)) for picture in pictures]


def test_columns_show_source_generated_blend_and_partner_by_alpha(run: Run) -> None:
    columns = COLUMN.findall(interpolations(run))
    first_shard = [(0, 0.25), (0, 0.75), (1, 0.25), (1, 0.75)]
    assert [caption for _, caption in columns] == [f"{ALPHA} = {alpha:.2f}" for alpha in (0.75, 0.75, 0.25, 0.25)]
    for (images, _), (row, alpha) in zip(columns, sorted(first_shard, key=lambda each: -each[1])):
        source, partner = np.array(tiny.source_colour(row)), np.array(tiny.source_colour(row + 1))
        blend = tuple(np.rint(alpha * source + (1 - alpha) * partner).astype(int).tolist())
        generated = tiny.interpolated_colour(row, alpha)
        assert colours(images) == [tuple(source.tolist()), generated, blend, tuple(partner.tolist())]


def test_alpha_weights_the_source() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert (blended(white, black, 0.75) == 191).all()


def test_bank_without_interpolated_images_has_no_strip(results: Path, run: Run) -> None:
    for path in (results / "tiny/bank/default/seed0").glob("interpolated-*.h5"):
        path.unlink()
    assert interpolations(run) == ""
