"""The scanner's own JPEG tiles, kept without encoding them again."""

import json

import h5py
import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from tests.drawing import drawn_slide
from tests.slides.test_tile_slide import DATA, images_of, needs_data, tile

from gensis.images.store import Store
from gensis.slides.drawing import draw_slide

NATIVE = {"tile_px": 256, "mpp": 0.5, "encoding": "native", "tissue": {"mpp": 4.0, "minimum_area_um2": 2000}}


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return drawn_slide(tmp_path_factory.mktemp("slide") / "slide.tiff", width_px=1100, height_px=1100)


def source_tile(path, x, y):
    """Pixels of the file's own tile, decoded by imagecodecs with the tables of the TIFF."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        index = y // page.tilelength * -(-page.imagewidth // page.tilewidth) + x // page.tilewidth
        data = path.read_bytes()[page.dataoffsets[index] :][: page.databytecounts[index]]
        colours = {"colorspace": page.photometric.name, "outcolorspace": "RGB"}
        return data, imagecodecs.jpeg8_decode(data, tables=page.jpegtables, **colours)


def check(folder, slide):
    with h5py.File(folder / "unit.h5") as file, Store(folder / "unit.h5") as store:
        assert file.attrs["encoding"] == "native"
        encoded, coords = store.read(0, len(store)), file["coords"][:].tolist()
    for image, stored, (x, y) in zip(images_of(folder), encoded, coords):
        data, expected = source_tile(slide, x, y)
        assert (image == expected).all()
        assert stored.endswith(data[2:])  # nothing was encoded again
    return len(encoded)


def test_tiles_on_the_grid_keep_the_scanners_bytes_and_pixels(tmp_path, slide):
    tile(tmp_path, slide, NATIVE)
    assert check(tmp_path, slide) >= 4


@needs_data
def test_native_tiles_without_a_colour_marker_keep_the_colours(tmp_path):
    slide = DATA / "aperio" / "cmu-1-small-region.svs"
    tile(tmp_path, slide, NATIVE | {"tile_px": 240})
    assert check(tmp_path, slide) > 10


@pytest.mark.parametrize("other", [{"tile_px": 224}, {"mpp": 0.75}, {"reader": "openslide"}])
def test_tiles_off_the_grid_are_encoded_again_and_recorded_so(tmp_path, slide, other):
    _, file = tile(tmp_path, slide, NATIVE | other)
    assert file.attrs["encoding"] == "jpeg"
    same = tile(tmp_path, slide, NATIVE | other | {"encoding": "jpeg"})[1]
    assert (file["encoded"][:] == same["encoded"][:]).all()


def test_scores_do_not_depend_on_the_encoding(tmp_path, slide):
    native = tile(tmp_path, slide, NATIVE)[1]["focus"][:]
    assert (native == tile(tmp_path, slide, NATIVE | {"encoding": "jpeg"})[1]["focus"][:]).all()
    assert np.isfinite(native).all()


def test_damaged_native_tiles_are_left_out(tmp_path, slide):
    broken = tmp_path / "slide.tiff"
    broken.write_bytes(slide.read_bytes())
    with tifffile.TiffFile(broken) as tiff:
        page = tiff.pages[0]
        at = page.dataoffsets[6] + page.databytecounts[6] // 2
    with open(broken, "r+b") as stream:
        stream.seek(at)
        stream.write(bytes(60))
    found, file = tile(tmp_path, broken, NATIVE)
    assert (found["outcome"], found["failed"]) == ("partial", 1)
    assert [256, 256] not in file["coords"][:].tolist()
    assert json.loads(file.attrs["provenance"])["settings"]["encoding"] == "native"


@pytest.mark.parametrize(
    ("subsampling", "mpp", "expected"), [((2, 2), 0.5, "420"), ((1, 1), 0.5, "444"), ((2, 2), 1.0, "444")]
)
def test_tiles_keep_the_chroma_subsampling_unless_resampled(tmp_path, subsampling, mpp, expected):
    path = tmp_path / "slide.tiff"
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "jpeg", "subsampling": subsampling}
    image = draw_slide("lymphoid", width_px=1100, height_px=1100, seed=0)
    tifffile.imwrite(path, image, resolution=(20_000, 20_000), resolutionunit="CENTIMETER", metadata=None, **options)
    tile(tmp_path, path, NATIVE | {"encoding": "jpeg", "mpp": mpp})
    with Store(tmp_path / "unit.h5") as store:
        assert simplejpeg.decode_jpeg_header(store.read(0, 1)[0])[3] == expected
