"""Coordinates read with OpenSlide as CLAM and TRIDENT do."""

import h5py
import numpy as np
import pytest
from openslide import OpenSlide
from PIL import Image
from tests.drawing import drawn_slide
from tests.slides.test_tile_slide import DATA, SMALL, images_of, needs_data, tile


def read_as_clam(store, slide):
    """CLAM: `patch_size` px of `patch_level` at each coordinate."""
    with h5py.File(store) as file, OpenSlide(slide) as opened:
        coords = file["coords"]
        level, side = coords.attrs["patch_level"], coords.attrs["patch_size"]
        return [np.asarray(opened.read_region(at, level, (side, side)).convert("RGB")) for at in coords[:].tolist()]


def read_as_trident(store, slide):
    """TRIDENT: `patch_size_level0` px of level 0 at each coordinate, resized to `patch_size`."""
    with h5py.File(store) as file, OpenSlide(slide) as opened:
        coords = file["coords"]
        side, size = int(coords.attrs["patch_size_level0"]), int(coords.attrs["patch_size"])
        regions = [opened.read_region(at, 0, (side, side)).convert("RGB") for at in coords[:].tolist()]
    return [np.asarray(region if side == size else region.resize((size, size), Image.LANCZOS)) for region in regions]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return drawn_slide(tmp_path_factory.mktemp("slide") / "slide.tiff")


@pytest.mark.parametrize("mpp", [0.5, 1.0])
def test_clam_reads_the_same_pixels(tmp_path, slide, mpp):
    tile(tmp_path, slide, SMALL | {"mpp": mpp, "encoding": "png"})
    ours = images_of(tmp_path)
    assert len(ours) > 4
    for image, theirs in zip(ours, read_as_clam(tmp_path / "unit.h5", slide), strict=True):
        assert (image == theirs).all()


@needs_data
@pytest.mark.parametrize(
    ("path", "mpp"), [("aperio/cmu-1-small-region.svs", 0.499), ("aperio/tcga-cr-7395-01a-01-ts1.svs", 0.25)]
)
def test_clam_reads_the_same_pixels_of_real_slides(tmp_path, path, mpp):
    tile(tmp_path, DATA / path, {"mpp": mpp, "encoding": "png"}, "--mpp", mpp)
    for image, theirs in zip(images_of(tmp_path), read_as_clam(tmp_path / "unit.h5", DATA / path), strict=True):
        assert (image == theirs).all()


@pytest.mark.parametrize("mpp", [0.5, 0.75])
def test_trident_reads_the_same_pixels_also_of_resampled_slides(tmp_path, slide, mpp):
    tile(tmp_path, slide, SMALL | {"mpp": mpp, "encoding": "png"})
    ours = images_of(tmp_path)
    assert len(ours) > 4
    for image, theirs in zip(ours, read_as_trident(tmp_path / "unit.h5", slide), strict=True):
        assert np.abs(image.astype(int) - theirs).max() <= 1
