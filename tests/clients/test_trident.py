"""TRIDENT (github.com/mahmoodlab/TRIDENT): `WSIPatcher` reads tiles, `coords_to_h5` documents the attributes.

Without the magnifications it falls back to CLAM's reading, which fails or finds other tiles.
"""

from pathlib import Path

import h5py
import numpy as np
import pytest
from openslide import OpenSlide
from PIL import Image
from tests.clients.conftest import Cut, as_images
from tests.images.test_features import embed, export
from tests.slides.test_tile_slide import SMALL, images_of, tile

TOLERANCE = 0.1  # of a level's downsample


def read_tiles(path: Path, slide: OpenSlide) -> list[np.ndarray]:
    """Side and level by the ratio of the magnifications: the level of that downsample, or the next finer one."""
    with h5py.File(path) as file:
        attributes, coords = dict(file["coords"].attrs), file["coords"][:]
    side = int(attributes["patch_size"])
    downsample = attributes["level0_magnification"] / attributes["target_magnification"]
    finer = [level for level, each in enumerate(slide.level_downsamples) if each <= downsample + TOLERANCE]
    side_level = round(round(side * downsample) / int(slide.level_downsamples[finer[-1]]))
    regions = [slide.read_region(at, finer[-1], (side_level, side_level)).convert("RGB") for at in coords]
    return [np.asarray(region.resize((side, side), Image.BICUBIC)) for region in regions]


def largest_difference(tiles: list[np.ndarray], others: list[np.ndarray]) -> float:
    """Mean difference of the most different pair, in grey levels; kernels of resampling differ by one to two."""
    return np.abs(np.int64(tiles) - np.int64(others)).mean((1, 2, 3)).max()


def test_it_finds_the_stored_tiles_also_of_a_resampled_slide(cut: Cut):
    for path in (cut.store, cut.features / "unit.h5"):
        assert largest_difference(read_tiles(path, cut.opened), cut.tiles) < 2


def test_it_reads_the_area_of_a_tile_where_a_level_is_near_the_target(tmp_path, cuts):
    slide = cuts["level"].slide
    _, file = tile(tmp_path, slide, SMALL | {"mpp": 0.96, "encoding": "png"})  # the level has 1 um/px
    assert file["coords"].attrs["patch_size_level0"] == 128
    assert largest_difference(read_tiles(tmp_path / "unit.h5", OpenSlide(slide)), images_of(tmp_path)) == 0


def test_features_state_all_that_its_own_files_state(cut: Cut):
    with h5py.File(cut.features / "unit.h5") as file:
        of_coords = {"patch_size", "patch_size_level0", "level0_magnification", "target_magnification"}
        of_coords |= {"overlap", "name", "level0_width", "level0_height"}
        assert of_coords <= set(file["coords"].attrs)
        assert file["features"].attrs["encoder"] == "gen-dino"
        assert file["coords"].attrs["level0_magnification"] == 20  # of 0.5 um/px


def test_its_own_features_of_our_coordinates_agree_with_ours(cuts, encoder):
    cut = cuts["resampled"]
    theirs = encoder(as_images(read_tiles(cut.store, cut.opened))).numpy()
    with h5py.File(cut.features / "unit.h5") as file:
        ours = file["features"][:]
    cosines = (theirs * ours).sum(1) / np.linalg.norm(theirs, axis=1) / np.linalg.norm(ours, axis=1)
    assert cosines.min() > 0.999


def test_features_of_stores_that_lack_the_magnifications_have_them(tmp_path, cuts):
    cut = cuts["resampled"]
    for name in ("unit.h5", "units.tsv"):
        (tmp_path / name).write_bytes((cut.store.parent / name).read_bytes())
    (tmp_path / "encoder").symlink_to(cut.encoder)
    with h5py.File(tmp_path / "unit.h5", "r+") as file:
        del file["coords"].attrs["level0_magnification"], file["coords"].attrs["target_magnification"]
    embed(tmp_path, ("unit",))
    export(tmp_path)
    with h5py.File(tmp_path / "features/unit.h5") as file:
        assert file["coords"].attrs["target_magnification"] == pytest.approx(10 / 0.75)
