"""Slides that need optional packages: DICOM, OME-Zarr and CZI that OpenSlide refuses."""

import json
import sys

import numpy as np
import pytest
from tests.slides.more_formats import MPP, TILE_PX, write_czi, write_dicom, write_ome_zarr, write_zarr_attributes
from tests.slides.test_tile_slide import DATA, needs_data

from gensis.slides.drawing import draw_slide
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import Unusable
from gensis.slides.reader import DamagedRegion
from gensis.slides.resolution import slide_resolution
from gensis.slides.slide_files import slide_files

MODULES = {"dicom": "wsidicom", "ome_zarr": "zarr", "czi": "pylibCZIrw"}
FINEST = draw_slide("lymphoid", width_px=300, height_px=200, seed=0)
PYRAMID = [FINEST, FINEST[::2, ::2]]


def draw(form, folder):
    """A slide in one of FORMS, and what it shows."""
    kind, *more = form.split()
    pytest.importorskip(MODULES[kind])
    if kind == "czi":
        return write_czi(folder / "slide.czi", FINEST), PYRAMID[:1]
    if kind == "dicom":
        write_dicom(folder / "slide", PYRAMID, parts=3 if "concatenation" in more else 1)
        return folder / "slide" / ("1-0.dcm" if "instance" in more else ""), PYRAMID
    return write_ome_zarr(folder / "slide.zarr", PYRAMID, more[0], axes=more[1]), PYRAMID


FORMS = [
    "dicom folder",
    "dicom instance",
    "dicom concatenation",
    "ome_zarr 0.4 tczyx",
    "ome_zarr 0.5 cyx",
    "ome_zarr 0.5 yxc",
    "czi",
]


@pytest.mark.parametrize("form", FORMS)
def test_size_resolution_levels_and_pixels_are_those_that_were_drawn(tmp_path, form):
    path, expected = draw(form, tmp_path)
    with open_slide(path) as reader:
        assert reader.kind == form.split()[0]
        assert reader.level_sizes == tuple(level.shape[1::-1] for level in expected)
        assert reader.downsamples == pytest.approx([2**number for number in range(len(expected))])
        found = slide_resolution(reader.properties)
        assert (found.mpp_x, found.mpp_y, found.source) == (pytest.approx(MPP), pytest.approx(MPP), "metadata")
        for level, pixels in enumerate(expected):
            height, width = pixels.shape[:2]
            around = np.pad(pixels, [(10, 10), (20, 20), (0, 0)], constant_values=255)
            whole = reader.region(level, x=-20, y=-10, width=width + 40, height=height + 20)
            np.testing.assert_array_equal(whole, around)
            part = reader.region(level, x=50, y=30, width=80, height=60)
            np.testing.assert_array_equal(part, pixels[30:90, 50:130])
            outside = reader.region(level, x=width, y=-70, width=9, height=5)
            assert outside.shape == (5, 9, 3) and (outside == 255).all()


@pytest.mark.parametrize(("version", "form"), [("0.4", ".0.{}.{}"), ("0.5", "c/0/{}/{}")])
def test_a_tile_of_ome_zarr_is_read_from_its_own_chunks(tmp_path, version, form):
    pytest.importorskip("zarr")
    folder = write_ome_zarr(tmp_path / "slide.zarr", PYRAMID, version, axes="cyx")
    kept = {f"{channel}{form.format(1, 2)}" if version == "0.4" else f"c/{channel}/1/2" for channel in range(3)}
    for file in (folder / "0").rglob("*"):
        if file.is_file() and file.name[0].isdigit():
            name = str(file.relative_to(folder / "0")).replace("/", ".") if version == "0.4" else None
            wanted = {each.replace(".0.1.2", ".1.2") for each in kept} if version == "0.4" else kept
            if (name or str(file.relative_to(folder / "0"))) not in wanted:
                file.write_bytes(b"damaged")
    with open_slide(folder) as reader:
        here = reader.region(0, x=2 * TILE_PX, y=TILE_PX, width=TILE_PX, height=TILE_PX)
        np.testing.assert_array_equal(here, FINEST[TILE_PX : 2 * TILE_PX, 2 * TILE_PX : 3 * TILE_PX])
        with pytest.raises(DamagedRegion, match=r"chunk \(0, 0\) of level 0"):
            reader.region(0, x=0, y=0, width=8, height=8)
