import io
from functools import cache

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from tests.slides.test_tile_slide import tile

from gensis.slides.drawing import draw_slide, write_pyramid
from gensis.slides.glass import is_dark_field, without_tint
from gensis.slides.tissue import find_tissue

GLASS = 242
TINTS = [(240, 235, 218), (222, 230, 242), (250, 245, 205), (225, 242, 228)]


@cache
def drawn(kind):
    return draw_slide(kind, width_px=512, height_px=448, seed=1)


def tinted(image, tint):
    """The image under a lamp of another colour."""
    return np.clip(image * (np.array(tint) / GLASS), 0, 255).astype(np.uint8)


def thumbnail(image):
    return np.asarray(Image.fromarray(image).reduce(8))


@pytest.mark.parametrize("tint", TINTS)
@pytest.mark.parametrize("kind", ["lymphoid", "glandular"])
def test_tissue_does_not_depend_on_the_tint_of_the_glass(kind, tint):
    slide = drawn(kind)
    expected = ndimage.binary_fill_holes(thumbnail(slide).min(-1) < 225)
    noise = np.random.default_rng(0).normal(0, 3, (*expected.shape, 3))
    image = np.clip(thumbnail(tinted(slide, tint)) + noise, 0, 255).astype(np.uint8)
    found = find_tissue(without_tint(image, has_gaps=False), pixel_area_um2=16.0, minimum_area_um2=2000)[0]
    assert (found & expected).sum() / (found | expected).sum() > 0.9


def test_white_balance_makes_glass_grey_and_no_pixel_darker():
    image = thumbnail(tinted(drawn("lymphoid"), (240, 235, 218)))
    balanced = without_tint(image, has_gaps=False)
    assert (balanced >= image).all()
    assert np.ptp(np.median(balanced[:4], axis=(0, 1))) <= 1
    assert balanced[:4].max() <= 250  # glass is not brighter than before


def test_glass_is_found_on_partly_scanned_slides():
    image = thumbnail(tinted(drawn("lymphoid"), (240, 235, 218))).copy()
    image[:, :20] = image[:10] = 255
    assert np.ptp(np.median(without_tint(image, has_gaps=True)[-4:, 20:], axis=(0, 1))) <= 1


@pytest.mark.parametrize(
    "image",
    [
        thumbnail(drawn("lymphoid")),
        thumbnail(tinted(drawn("lymphoid"), (238, 228, 236))),
        thumbnail(drawn("glandular")[160:320, 160:320]),
        np.zeros((30, 40, 3), np.uint8),
        np.full((30, 40, 3), 255, np.uint8),
    ],
    ids=["grey glass", "pale pink", "no glass", "black", "nothing scanned"],
)
def test_images_with_grey_glass_or_without_glass_are_not_changed(image):
    for has_gaps in (True, False):
        assert without_tint(image, has_gaps) is image


def test_pale_tissue_on_pure_white_glass_is_not_taken_as_glass():
    image = np.full((90, 120, 3), 255, np.uint8)
    image[20:60, 20:100] = (235, 228, 205)
    assert without_tint(image, has_gaps=False) is image


def test_tinted_and_grey_glass_give_the_same_tiles(tmp_path):
    slide = drawn("lymphoid")
    write_pyramid(tmp_path / "grey.tiff", slide, 0.5)
    write_pyramid(tmp_path / "tinted.tiff", tinted(slide, (240, 235, 218)), 0.5)
    _, grey = tile(tmp_path, tmp_path / "grey.tiff")
    expected, white = grey["coords"][:].tolist(), grey["rejected_white_fraction"][:]
    _, file = tile(tmp_path, tmp_path / "tinted.tiff")
    assert file["coords"][:].tolist() == expected
    np.testing.assert_allclose(file["rejected_white_fraction"][:], white, atol=0.1)
    stored = np.asarray(Image.open(io.BytesIO(file["thumbnail"][:].tobytes())))
    assert np.abs(np.median(stored[:4], axis=(0, 1)) - (240, 235, 218)).max() <= 2  # unchanged


@pytest.mark.parametrize(("black", "light", "expected"), [(0.9, 0, True), (0.9, 0.05, False), (0.4, 0, False)])
def test_fluorescence_differs_from_tissue_in_a_black_surround(black, light, expected):
    image = np.full((100, 100, 3), (30, 60, 200), np.uint8)
    image[: int(100 * black)] = 5
    image[: int(100 * light)] = 230
    unread = np.zeros((100, 100), bool)
    assert is_dark_field(image, unread) == expected
    white = np.full((300, 100, 3), 255, np.uint8)  # was not scanned
    assert is_dark_field(np.concatenate([white, image]), np.zeros((400, 100), bool)) == expected


def test_unreadable_areas_do_not_count_as_black():
    image, unread = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), bool)
    image[60:], unread[:60] = 100, True
    assert not is_dark_field(image, unread)
