"""Synthetic slides in vendors' formats whose files look like other formats."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.slides.mirax import PHOTO_PX, write_mirax
from tests.slides.test_tile_slide import SMALL, images_of, tile
from tests.slides.vendor_tiffs import write_hamamatsu, write_leica, write_ventana

from gensis.images.dataset_tables import annotated_tiles
from gensis.slides.drawing import draw_slide
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import Unusable

OVERLAP_PX = 16


@pytest.fixture(scope="module")
def picture():
    return draw_slide("lymphoid", width_px=640, height_px=560, seed=0)


@pytest.fixture(scope="module")
def mirax(tmp_path_factory, picture):
    """A MIRAX slide, and the positions of its photos: every second row is slightly shifted, one corner is missing."""
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


def test_mirax_is_read_from_its_folder_not_from_its_preview(mirax, picture):
    path, taken = mirax
    with open_slide(path) as reader:
        assert (reader.kind, reader.vendor) == ("openslide", "mirax")
        assert reader.bounds_level0[:2] == (24, 12)
        width, height = reader.size_level0
        expected = np.where(taken[..., None], picture, 255)[:height, :width]
        np.testing.assert_array_equal(reader.region(0, x=0, y=0, width=width, height=height), expected)
        for level, factor in ((1, 2), (2, 4)):
            coarse = reader.region(level, x=0, y=0, width=width // factor, height=height // factor).astype(int)
            assert np.abs(coarse - Image.fromarray(expected).reduce(factor)).mean() < 4


def test_mirax_is_tiled_within_its_bounds_and_scanned_areas(tmp_path, mirax, picture):
    path, taken = mirax
    outcome, file = tile(tmp_path, path, SMALL | {"mpp": 0.5, "encoding": "png"})
    corners = file["coords"][:].tolist()
    assert (outcome["outcome"], file.attrs["mpp_source"]) == ("ok", "openslide")
    assert len(corners) > 10
    assert {(x % 64, y % 64) for x, y in corners} == {(24, 12)}
    for image, (x, y) in zip(images_of(tmp_path), corners):
        here = np.s_[y : y + 64, x : x + 64]
        np.testing.assert_array_equal(image, np.where(taken[here][..., None], picture[here], 255))


def test_annotations_of_the_bounds_label_the_tiles_that_qupath_shows_them_on(tmp_path, mirax):
    path, _ = mirax
    _, file = tile(tmp_path, path, SMALL | {"mpp": 0.5})
    corners = file["coords"][:]
    left, top = chosen = corners[len(corners) // 2]
    x, y = left - 24, top - 12  # QuPath shows the slide from its bounds, (24, 12), on
    ring = [[x, y], [x + 64, y], [x + 64, y + 64], [x, y + 64]]
    drawn = {"properties": {"name": "Tumor"}, "geometry": {"type": "Polygon", "coordinates": np.array([ring]).tolist()}}
    (tmp_path / "drawn.geojson").write_text(json.dumps(drawn | {"type": "Feature"}))
    labels = np.array(annotated_tiles(tmp_path / "unit.h5", tmp_path / "drawn.geojson", "bounds"))
    assert corners[labels == "Tumor"].tolist() == [chosen.tolist()]
    mask = ("--mask", str(tmp_path / "drawn.geojson"), "--drawn-on", "bounds")
    _, file = tile(tmp_path, path, SMALL | {"mpp": 0.5, "tissue": {"mpp": 4.0, "minimum_fraction": 0.9}}, *mask)
    assert file["coords"][:].tolist() == [chosen.tolist()]


def copied(mirax, folder):
    shutil.copytree(mirax.with_suffix(""), folder / mirax.stem)
    return Path(shutil.copy(mirax, folder))


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (lambda path: shutil.rmtree(path.with_suffix("")), "auto", r"folder slide/ with Slidedat\.ini"),
        (lambda path: (path.with_suffix("") / "Slidedat.ini").unlink(), "auto", r"folder slide/ with Slidedat\.ini"),
        (lambda path: (path.with_suffix("") / "Index.dat").unlink(), "auto", "OpenSlide cannot open it"),
        (lambda path: (path.with_suffix("") / "Index.dat").write_bytes(b"01.0"), "auto", r"Index\.dat"),
        (lambda path: None, "picture", "set reader to auto"),
        (lambda path: path.rename(path.with_suffix(".MRXS")), "auto", "rename it"),
    ],
)
def test_the_preview_of_a_mirax_slide_is_never_read_as_the_slide(tmp_path, mirax, damage, kind, words):
    damage(copied(mirax[0], tmp_path))
    preview = next(path for path in tmp_path.iterdir() if path.is_file())
    with pytest.raises(Unusable, match=words):
        open_slide(preview, kind)


def test_a_mirax_slide_without_a_data_file_loses_only_its_tiles(tmp_path, mirax):
    path = copied(mirax[0], tmp_path)
    (path.with_suffix("") / "Data0000.dat").unlink()
    outcome, _ = tile(tmp_path, path)
    assert outcome["outcome"] == "unreadable"


AREAS = [(32, 48, 192, 160), (256, 64, 160, 256)]


def test_areas_of_a_leica_slide_are_placed_and_its_macro_is_skipped(tmp_path, picture):
    path = write_leica(tmp_path / "slide.scn", picture[:448, :512], AREAS)
    expected = np.full((448, 512, 3), 255, np.uint8)
    for left, top, width, height in AREAS:
        here = np.s_[top : top + height, left : left + width]
        expected[here] = picture[here]
    with open_slide(path) as reader:
        assert (reader.kind, reader.level_sizes) == ("openslide", ((512, 448), (256, 224)))
        assert reader.bounds_level0 == (32, 48, 416, 320)
        np.testing.assert_array_equal(reader.region(0, x=0, y=0, width=512, height=448), expected)
    outcome, file = tile(tmp_path, path, SMALL | {"mpp": 0.5, "encoding": "png"})
    assert (outcome["outcome"], file.attrs["mpp_x"]) == ("ok", 0.5)
    for image, (x, y) in zip(images_of(tmp_path), file["coords"][:].tolist()):
        np.testing.assert_array_equal(image, expected[y : y + 64, x : x + 64])


def test_tiles_of_a_ventana_slide_overlap_as_stated_in_its_xml(tmp_path, picture):
    with open_slide(write_ventana(tmp_path / "slide.bif", picture, (5, 4), overlap_px=8)) as reader:
        assert (reader.kind, reader.size_level0) == ("openslide", (4 * 56 + 64, 3 * 56 + 64))
        np.testing.assert_array_equal(reader.region(0, x=0, y=0, width=288, height=232), picture[:232, :288])
        half = np.asarray(Image.fromarray(picture[:232, :288]).reduce(2)).astype(int)
        assert np.abs(reader.region(1, x=0, y=0, width=144, height=116) - half).mean() < 1


def test_the_focal_plane_in_focus_of_a_hamamatsu_slide_is_read(tmp_path, picture):
    planes = [(-2000, picture[:448, :512] // 2), (0, picture[:448, :512]), (2000, picture[:448, :512] // 3)]
    with open_slide(write_hamamatsu(tmp_path / "slide.ndpi", planes)) as reader:
        assert (reader.kind, reader.level_sizes[:2]) == ("openslide", ((512, 448), (256, 224)))
        assert np.abs(reader.region(0, x=0, y=0, width=512, height=448).astype(int) - picture[:448, :512]).mean() < 3
        assert reader.properties["openslide.mpp-x"] == "0.5"


def test_fluorescence_of_leica_is_unsupported(tmp_path, picture):
    path = write_leica(tmp_path / "slide.scn", picture, AREAS, light="fluorescence")
    with pytest.raises(Unusable, match=r"no brightfield image .* fluorescence") as caught:
        open_slide(path)
    assert caught.value.outcome == "unsupported"


def test_a_vendors_tiff_that_openslide_refuses_is_not_read_as_a_tiff(tmp_path, picture):
    path = write_ventana(tmp_path / "slide.bif", picture, (5, 4), overlap_px=8, direction="LEFT")
    with pytest.raises(Unusable, match='OpenSlide cannot open it: Bad direction attribute "LEFT"'):
        open_slide(path)
    with pytest.raises(Unusable, match=r"\(ventana\): set reader to auto"):
        open_slide(path, "tiff")
