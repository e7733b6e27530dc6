import io
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from gensis.slides import bands
from gensis.slides.drawing import draw_slide
from gensis.slides.ink import find_ink
from gensis.slides.tissue import find_tissue, otsu_threshold

ROOT = Path(__file__).parents[2]
LYMPHOMA = Path(os.environ.get("GENSIS_DATA", ROOT / ".." / "shared" / "data")) / "histology" / "lymphoma"
AREA_UM2 = 16.0  # thumbnails at 4 um/px


def thumbnail(image, factor=8):
    return np.asarray(Image.fromarray(image).reduce(factor))


@pytest.mark.parametrize("kind", ["lymphoid", "glandular"])
@pytest.mark.parametrize("pen", ["blue", "green"])
@pytest.mark.parametrize("seed", range(3))
def test_drawn_tissue_is_found_and_pen_and_glass_are_not(kind, pen, seed):
    plain = thumbnail(draw_slide(kind, width_px=512, height_px=448, seed=seed)).astype(int)
    drawn = thumbnail(draw_slide(kind, width_px=512, height_px=448, seed=seed, pen=pen))
    # Reference: the same slide without pen; tissue is darker than glass, with lumina filled.
    expected = ndimage.binary_fill_holes(plain.min(-1) < 225)
    inked = np.abs(plain - drawn).max(-1) > 20
    found = find_tissue(drawn, pixel_area_um2=AREA_UM2, minimum_area_um2=2000)[0]
    assert inked.sum() > 50
    assert not found[inked].any()
    overlap = (found & expected).sum() / (found | expected).sum()
    assert overlap > 0.85


def test_glass_has_no_tissue():
    glass = np.random.default_rng(0).normal(242, 2, (60, 80, 3)).astype(np.uint8)
    assert not find_tissue(glass, pixel_area_um2=AREA_UM2, minimum_area_um2=2000)[0].any()


def test_jpeg_noise_on_glass_is_not_tissue():
    glass = np.random.default_rng(0).normal(236, 4, (160, 200, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(glass).save(file, "JPEG", quality=30)
    assert not find_tissue(np.asarray(Image.open(file)), pixel_area_um2=AREA_UM2, minimum_area_um2=2000)[0].any()


def test_nearly_colourless_tissue_is_found_and_flat_grey_is_not():
    image = np.full((120, 240, 3), 242, np.uint8)
    grey = np.random.default_rng(0).normal(150, 15, (80, 80, 1)) + np.array((2, 0, 1))
    image[20:100, 20:100] = grey
    image[20:100, 140:220] = 150
    image[60] = 60  # the edge of a coverslip
    found = find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=2000)[0]
    assert found[24:96, 24:96].all()
    assert not found[:, 110:].any()


@pytest.mark.skipif(not LYMPHOMA.is_dir(), reason="no real slides here: set GENSIS_DATA to their folder")
@pytest.mark.parametrize("slide", ["MCL_sj-04-6010-R3", "MCL_sj-04-3077-R2", "CLL_sj-03-852-R2"])
def test_grey_pale_and_bloody_tissue_of_real_slides_is_found(slide):
    picture = Image.fromarray(tifffile.imread(LYMPHOMA / f"{slide}.tiff", series=0, level=3))
    found = find_tissue(np.asarray(picture.reduce(2)), pixel_area_um2=64.0, minimum_area_um2=16_000)[0]
    six_fields = 6 * 840**2 / (3560 * 2460)  # the rest is blank glass
    assert found.mean() == pytest.approx(six_fields, abs=0.02)


def test_tall_images_give_the_same_result_in_bands(monkeypatch):
    plain = thumbnail(draw_slide("lymphoid", width_px=512, height_px=1024, seed=0, pen="blue"), 4)
    at_once = (*find_tissue(plain, pixel_area_um2=AREA_UM2, minimum_area_um2=2000)[:2], find_ink(plain))
    monkeypatch.setattr(bands, "_BAND_ROWS", 17)
    in_parts = (*find_tissue(plain, pixel_area_um2=AREA_UM2, minimum_area_um2=2000)[:2], find_ink(plain))
    assert all(mask.any() for mask in at_once)
    np.testing.assert_array_equal(in_parts, at_once)


def test_a_slide_full_of_tissue_is_all_tissue():
    centre = draw_slide("lymphoid", width_px=1024, height_px=1024, seed=1)[320:704, 320:704]
    assert find_tissue(thumbnail(centre), pixel_area_um2=AREA_UM2, minimum_area_um2=2000)[0].mean() > 0.97


@pytest.mark.parametrize("ink", [(200, 20, 25), (40, 80, 170), (30, 140, 90), (20, 20, 22)])
def test_ink_of_every_colour_is_not_tissue(ink):
    image = np.full((60, 60, 3), 242, np.uint8)
    image[20:40, 10:50] = ink
    assert not find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=500)[0].any()


@pytest.mark.parametrize("stain", [(205, 130, 175), (110, 70, 140), (230, 200, 222), (130, 85, 45)])
def test_tissue_of_every_stain_intensity_is_found(stain):
    image = np.full((60, 60, 3), 242, np.uint8)
    image[20:40, 10:50] = stain
    assert find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=500)[0][21:39, 11:49].all()


def test_small_islands_are_dropped_and_small_holes_filled():
    image = np.full((60, 60, 3), 242, np.uint8)
    image[10:50, 10:40] = image[5:9, 50:54] = (205, 130, 175)
    image[28:31, 20:23] = 242
    found = find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=AREA_UM2 * 100)[0]
    assert found[29, 21]
    assert not found[:, 45:].any()


def test_otsu_threshold_is_the_split_with_the_largest_variance_between_classes():
    values = np.random.default_rng(0).integers(0, 256, 500) // np.random.default_rng(1).integers(1, 9, 500)

    def variance(threshold):
        low, high = values[values <= threshold], values[values > threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0

    assert variance(otsu_threshold(np.bincount(values, minlength=256))) == pytest.approx(
        max(variance(t) for t in range(255))
    )
