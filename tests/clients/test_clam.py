"""CLAM (github.com/mahmoodlab/CLAM): `Whole_Slide_Bag_FP` reads tiles, `Generic_MIL_Dataset` reads bags of features.

Whole_Slide_Bag_FP knows `patch_level` and `patch_size` of `coords` alone, so it cannot resample.
"""

from pathlib import Path

import h5py
import numpy as np
import pytest
from openslide import OpenSlide
from tests.clients.conftest import Cut, as_images
from tests.slides.test_tile_slide import DATA, SMALL, images_of, needs_data, tile


def read_tiles(path: Path, slide: OpenSlide) -> list[np.ndarray]:
    """`patch_size` px of `patch_level` at each coordinate of level 0."""
    with h5py.File(path) as file:
        level, side = (file["coords"].attrs[name] for name in ("patch_level", "patch_size"))
        return [np.asarray(slide.read_region(at, level, (side, side)).convert("RGB")) for at in file["coords"][:]]


def read_bag(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and coordinates (N, 2)."""
    with h5py.File(path) as file:
        return file["features"][:], file["coords"][:]


def test_its_reader_finds_the_stored_tiles_where_a_level_was_read(cuts):
    cut = cuts["level"]
    for path in (cut.store, cut.features / "unit.h5"):
        theirs = read_tiles(path, cut.opened)
        assert len(theirs) > 4
        assert np.array_equal(theirs, cut.tiles)


def test_its_reader_cannot_find_resampled_tiles(cuts):
    cut = cuts["resampled"]
    theirs = read_tiles(cut.store, cut.opened)
    assert np.abs(np.int64(theirs) - np.int64(cut.tiles)).mean() > 10


def test_without_resampling_every_stored_tile_is_one_that_its_reader_finds(tmp_path, cuts):
    slide = cuts["level"].slide
    outcome, file = tile(tmp_path, slide, SMALL | {"mpp": 0.8, "resample": False})
    assert (outcome["outcome"], outcome["images"], len(file["coords"])) == ("no_level", 0, 0)
    _, file = tile(tmp_path, slide, SMALL | {"mpp": 0.98, "resample": False, "encoding": "png"})
    assert file.attrs["read_width_px"] == file["coords"].attrs["patch_size"]
    assert np.array_equal(read_tiles(tmp_path / "unit.h5", OpenSlide(slide)), images_of(tmp_path))


def test_bags_hold_the_embeddings_of_the_tiles_at_their_coordinates(cut: Cut, encoder):
    features, coords = read_bag(cut.features / "unit.h5")
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, encoder(as_images(cut.tiles)), atol=1e-5)
    with h5py.File(cut.store) as file:
        assert np.array_equal(coords, file["coords"])


@needs_data
@pytest.mark.parametrize(
    ("path", "mpp"), [("aperio/cmu-1-small-region.svs", 0.499), ("aperio/tcga-cr-7395-01a-01-ts1.svs", 0.25)]
)
def test_its_reader_finds_the_stored_tiles_of_real_slides(tmp_path, path, mpp):
    tile(tmp_path, DATA / path, {"mpp": mpp, "encoding": "png"}, "--mpp", mpp)
    assert np.array_equal(read_tiles(tmp_path / "unit.h5", OpenSlide(DATA / path)), images_of(tmp_path))
