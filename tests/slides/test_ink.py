"""Ink on synthetic and real slides; ink and tissue of the real ones are annotated in quality_annotations.json."""

import json
import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from gensis.slides.drawing import draw_slide
from gensis.slides.ink import find_ink
from gensis.slides.tissue import find_tissue

ROOT = Path(__file__).parents[2]
PICTURES = Path(os.environ.get("GENSIS_DATA", ROOT / ".." / "shared" / "data")) / "histology" / "quality"
AREA_UM2, MINIMUM_UM2 = 64.0, 16_000.0  # pictures are reduced to about 8 um/px
GLASS = 242


def blurred_patch(colours):
    """A patch of one or more colours side by side, out of focus, on glass."""
    image = np.full((80, 100, 3), GLASS, np.float32)
    for part, colour in enumerate(colours):
        width = 60 // len(colours)
        image[20:60, 20 + part * width : 20 + (part + 1) * width] = colour
    return ndimage.gaussian_filter(image, (4, 4, 0)).astype(np.uint8)


@pytest.mark.parametrize(
    "colours",
    [[(200, 20, 25)], [(40, 80, 170)], [(30, 140, 90)], [(200, 20, 25), (70, 50, 85), (60, 20, 30)]],
    ids=["red", "blue", "green", "red over blue"],
)
def test_ink_out_of_focus_is_found_with_its_halo(colours):
    image = blurred_patch(colours)
    assert find_ink(image)[18:62, 18:82].all()
    assert not find_ink(image)[:6].any()
    assert not find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=1000.0)[0].any()


def test_black_ink_is_found_and_its_grey_halo_is_not_tissue():
    image = blurred_patch([(20, 20, 22)])
    assert find_ink(image)[23:57, 23:77].all()
    assert not find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=1000.0)[0].any()


@pytest.mark.parametrize("colour", [(110, 60, 130), (80, 45, 95), (190, 50, 60), (205, 130, 175), (130, 85, 45)])
def test_tissue_in_focus_is_not_ink_however_dark_or_red(colour):
    noise = np.random.default_rng(0).normal(0, 9, (60, 60, 1))
    image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    assert find_ink(image).mean() < 0.01


def test_tissue_that_touches_ink_stays_tissue():
    noise = np.random.default_rng(0).normal(0, 9, (80, 100, 1))
    image = blurred_patch([(40, 80, 170)])
    image[:, 60:] = np.clip(np.array((205, 130, 175)) + noise, 0, 255).astype(np.uint8)[:, 60:]
    ink = find_ink(image)
    assert ink[25:55, 25:58].all()
    assert not ink[:, 66:].any()


# Optical density of red, green and blue, relative to their mean.
STAINS = {
    "haematoxylin": (1.3, 1.1, 0.6),
    "toluidine blue": (1.25, 1.3, 0.45),
    "Alcian blue": (1.8, 0.8, 0.4),
    "Luxol fast blue": (1.9, 0.8, 0.3),
    "Prussian blue": (1.9, 0.9, 0.2),
    "light green": (1.5, 0.6, 0.9),
}


@cache
def drawn(kind):
    return draw_slide(kind, width_px=512, height_px=448, seed=0)


def stained(stain, kind="lymphoid"):
    """A synthetic slide, recoloured with unchanged density, and the mask of its tissue."""
    slide = drawn(kind)
    density = np.log10(GLASS / np.maximum(slide, 1)).mean(-1, keepdims=True).clip(0)
    image = np.clip(GLASS * 10 ** (-density * np.array(stain)), 0, 255).astype(np.uint8)
    tissue = ndimage.binary_fill_holes(np.asarray(Image.fromarray(slide).reduce(8)).min(-1) < 225)
    return np.asarray(Image.fromarray(image).reduce(8)), tissue


@pytest.mark.parametrize("kind", ["lymphoid", "glandular"])
@pytest.mark.parametrize("name", STAINS)
def test_tissue_with_a_blue_or_green_stain_is_not_ink(name, kind):
    image, expected = stained(STAINS[name], kind)
    tissue, ink, remark = find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=1000.0)
    assert (tissue & expected).sum() / (tissue | expected).sum() > 0.85
    assert not ink.any()
    assert not find_ink(image).any()
    assert bool(remark) == (name not in ("haematoxylin", "toluidine blue"))


def test_partly_blue_tissue_is_excluded_as_ink_with_a_remark():
    blue, expected = stained(STAINS["Alcian blue"])
    image = stained((0.5, 1.5, 1.0))[0].copy()
    half = image.shape[1] // 2
    image[:, :half] = blue[:, :half]
    tissue, ink, remark = find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=1000.0)
    assert ink[:, : half - 5][expected[:, : half - 5]].mean() > 0.9
    assert tissue[:, half + 5 :][expected[:, half + 5 :]].mean() > 0.9
    assert re.match(r"[45]\d% .* column mask", remark)


def test_pen_without_tissue_gives_no_remark():
    for ink in ((40, 80, 170), (30, 140, 90)):
        assert find_tissue(blurred_patch([ink]), pixel_area_um2=AREA_UM2, minimum_area_um2=1000.0)[2] == ""


def pixels_inside(polygons, size, factor):
    canvas = Image.new("L", size, 0)
    for polygon in polygons:
        if polygon == "all":
            canvas.paste(255, (0, 0, *size))
        else:
            ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in polygon], fill=255)
    return np.asarray(canvas.reduce(factor)) > 127


@pytest.fixture(scope="module")
def judged():
    """For each image: counts of (true positive, false positive, false negative) of ink and tissue, and both maps."""
    if not PICTURES.is_dir():
        pytest.skip("no real pictures here: set GENSIS_DATA to their folder")
    found = {}
    for name, drawn in json.loads((Path(__file__).parent / "quality_annotations.json").read_text()).items():
        picture = Image.open(PICTURES / name).convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        image = np.asarray(picture.reduce(drawn["factor"]))
        areas = ("pen", "no_pen", "tissue", "no_tissue")
        pen, no_pen, tissue, no_tissue = (
            pixels_inside(drawn.get(area, []), picture.size, drawn["factor"]) for area in areas
        )
        maps = {
            "pen": find_ink(image),
            "tissue": find_tissue(image, pixel_area_um2=AREA_UM2, minimum_area_um2=MINIMUM_UM2)[0],
        }
        counts = {
            kind: np.array([(map_ & yes).sum(), (map_ & no).sum(), (~map_ & yes).sum()])
            for kind, map_, yes, no in (
                ("pen", maps["pen"], pen, no_pen),
                ("tissue", maps["tissue"], tissue, no_tissue | pen),
            )
        }
        found[name] = (counts, maps)
    return found


@pytest.mark.parametrize("kind", ["pen", "tissue"])
def test_precision_and_recall_on_annotated_slides(judged, kind):
    true, false, missed = sum(counts[kind] for counts, _ in judged.values())
    assert true / (true + false) > 0.98
    assert true / (true + missed) > 0.97
    for name, (counts, _) in judged.items():
        true, _, missed = counts[kind]
        assert true >= 0.94 * (true + missed), name


def test_images_without_tissue_are_rejected_and_others_kept(judged):
    fraction = {name: maps["tissue"].mean() for name, (_, maps) in judged.items()}
    for name, of_picture in fraction.items():
        if name.startswith(("no-tissue", "almost-white")):
            assert of_picture == 0, name
        if name.startswith(("tissue-", "slide.")):
            assert of_picture > 0.5, name


def test_images_without_pen_have_no_ink(judged):
    without = ("almost-white", "no-tissue.", "no-tissue2", "no-tissue-line", "tissue-", "slide.")
    for name, (_, maps) in judged.items():
        assert maps["pen"].mean() < 0.001 or not name.startswith(without), name
