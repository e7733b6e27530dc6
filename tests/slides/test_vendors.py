"""Slides of scanners whose files are not what they look like, drawn as OpenSlide accepts them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.slides.mirax import PHOTO_PX, write_mirax
from tests.slides.test_tile_slide import SMALL, images_of, tile

from gensis.slides.drawing import draw_slide
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import Unusable

OVERLAP_PX = 16


@pytest.fixture(scope="module")
def picture():
    return draw_slide("lymphoid", 640, 560, 0)


@pytest.fixture(scope="module")
def mirax(tmp_path_factory, picture):
    """A MIRAX slide, and where photos were taken of the picture: every second row a little shifted, one corner not."""
    step = PHOTO_PX - OVERLAP_PX
    photos = {
        (column, row): (24 + column * step + 4 * (row % 2), 12 + row * step)
        for column in range(4)
        for row in range(3)
        if (column, row) != (3, 2)
    }
    path = write_mirax(tmp_path_factory.mktemp("mirax") / "slide.mrxs", picture, photos, OVERLAP_PX)
    taken = np.zeros(picture.shape[:2], bool)
    for x, y in photos.values():
        taken[y : y + PHOTO_PX, x : x + PHOTO_PX] = True
    return path, taken


def test_mirax_is_read_from_its_folder_and_not_from_the_preview_that_its_main_file_is(mirax, picture):
    path, taken = mirax
    with open_slide(path) as reader:
        assert (reader.kind, reader.vendor) == ("openslide", "mirax")
        assert reader.bounds_level0[:2] == (24, 12)
        width, height = reader.size_level0
        expected = np.where(taken[..., None], picture, 255)[:height, :width]
        np.testing.assert_array_equal(reader.region(0, 0, 0, width, height), expected)
        for level, factor in ((1, 2), (2, 4)):
            coarse = reader.region(level, 0, 0, width // factor, height // factor).astype(int)
            assert np.abs(coarse - Image.fromarray(expected).reduce(factor)).mean() < 4


def test_mirax_is_tiled_within_its_bounds_and_where_photos_were_taken(tmp_path, mirax, picture):
    path, taken = mirax
    outcome, file = tile(tmp_path, path, SMALL | {"mpp": 0.5, "encoding": "png"})
    corners = file["coords"][:].tolist()
    assert (outcome["outcome"], file.attrs["mpp_source"]) == ("ok", "openslide")
    assert len(corners) > 10
    assert {(x % 64, y % 64) for x, y in corners} == {(24, 12)}
    for image, (x, y) in zip(images_of(tmp_path), corners):
        here = np.s_[y : y + 64, x : x + 64]
        np.testing.assert_array_equal(image, np.where(taken[here][..., None], picture[here], 255))


def copied(mirax, folder):
    shutil.copytree(mirax.with_suffix(""), folder / mirax.stem)
    return Path(shutil.copy(mirax, folder))


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (lambda path: shutil.rmtree(path.with_suffix("")), "auto", r"folder slide/ with Slidedat\.ini"),
        (lambda path: (path.with_suffix("") / "Slidedat.ini").unlink(), "auto", r"folder slide/ with Slidedat\.ini"),
        (lambda path: (path.with_suffix("") / "Index.dat").unlink(), "auto", "OpenSlide does not open it"),
        (lambda path: (path.with_suffix("") / "Index.dat").write_bytes(b"01.0"), "auto", r"Index\.dat"),
        (lambda path: None, "picture", "set reader to auto"),
        (lambda path: path.rename(path.with_suffix(".MRXS")), "auto", "rename it"),
    ],
)
def test_the_preview_of_a_mirax_slide_is_never_taken_for_the_slide(tmp_path, mirax, damage, kind, words):
    damage(copied(mirax[0], tmp_path))
    preview = next(path for path in tmp_path.iterdir() if path.is_file())
    with pytest.raises(Unusable, match=words):
        open_slide(preview, kind)


def test_a_mirax_slide_that_lacks_a_data_file_loses_what_lay_in_it(tmp_path, mirax):
    path = copied(mirax[0], tmp_path)
    (path.with_suffix("") / "Data0000.dat").unlink()
    outcome, _ = tile(tmp_path, path)
    assert outcome["outcome"] == "unreadable"
