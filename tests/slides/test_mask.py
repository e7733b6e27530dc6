import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.slides.damaged_files import zero_tiles

from gensis.slides.mask import read_mask
from gensis.slides.outcomes import Unusable

SLIDE, DOWNSAMPLE, SHAPE = (0, 0, 1600, 800), 16.0, (50, 100)


def box(class_name: str, left: float, top: float, right: float, bottom: float) -> dict:
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    properties = {"objectType": "annotation", "classification": {"name": class_name}}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def test_a_mask_of_any_size_is_resampled_to_the_thumbnail(tmp_path):
    mask = np.zeros((10, 20), np.uint8)
    mask[:5, 10:] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    found = read_mask(tmp_path / "mask.png", SLIDE, DOWNSAMPLE, SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[:25, 50:] = True
    assert (found == expected).all()


@pytest.mark.parametrize("name", ["mask.geojson", "mask.JSON"])
def test_polygons_are_tissue_except_ignored_and_background_ones(tmp_path, name):
    drawn = [box("Ignore*", 0, 0, 160, 160), box("Tumor", 0, 0, 800, 320), box("", 1440, 0, 1600, 800)]
    (tmp_path / name).write_text(json.dumps([*drawn, box("background", 1440, 640, 1600, 800)]))
    expected = np.zeros(SHAPE, bool)
    expected[:20, :50] = True
    expected[:10, :10] = False
    expected[:40, 90:] = True
    assert (read_mask(tmp_path / name, SLIDE, DOWNSAMPLE, SHAPE) == expected).all()


@pytest.mark.parametrize("name", ["mask.geojson", "mask.png", "mask.tif"])
def test_a_mask_of_a_part_of_the_slide_marks_tissue_there_alone(tmp_path, name):
    bounds, path = (400, 160, 1200, 640), tmp_path / name  # in the thumbnail: columns 25 to 75, rows 10 to 40
    drawn = np.zeros((48, 80), np.uint8)
    drawn[:24, :40] = 255
    if name == "mask.geojson":
        path.write_text(json.dumps([box("", 0, 0, 400, 240), box("", 700, 0, 900, 480)]))
    else:
        drawn[:, 70:] = 255
        Image.fromarray(drawn).save(path)
    expected = np.zeros(SHAPE, bool)
    expected[10:25, 25:50] = True
    found = read_mask(path, bounds, DOWNSAMPLE, SHAPE)
    assert (found[:, :60] == expected[:, :60]).all()
    assert found[10:40, 70:75].all()
    assert not found[[*range(10), *range(40, 50)]].any()


def test_a_mask_of_the_whole_slide_reaches_its_last_partial_pixel(tmp_path):
    Image.fromarray(np.full((81, 161), 255, np.uint8)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (0, 0, 1603, 803), DOWNSAMPLE, (51, 101)).all()


HALF = np.zeros((80, 160), np.uint8)
HALF[:40, 80:] = 1
EXPECTED = np.zeros(SHAPE, bool)
EXPECTED[:25, 50:] = True


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16", "F"])
def test_all_pixels_that_are_not_black_are_tissue_in_every_format(tmp_path, mode):
    if mode == "P":
        image = Image.fromarray(HALF + 1).convert("P")
        image.putpalette([9, 9, 9, 0, 0, 0, 0, 0, 1])
    elif mode in ("RGB", "RGBA"):
        image = Image.fromarray(np.stack([HALF * 0, HALF * 0, HALF, HALF * 255][: len(mode)], -1))
    else:
        image = Image.fromarray({"I;16": HALF.astype(np.uint16), "F": HALF * np.float32(0.2)}.get(mode, HALF * 255))
    if mode == "1":
        image = image.convert("1")
    path = tmp_path / ("mask.tif" if mode == "F" else "mask.png")
    image.save(path)
    assert (read_mask(path, SLIDE, DOWNSAMPLE, SHAPE) == EXPECTED).all()


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (16, 32), "compression": "lzw"},
        {"tile": (16, 32), "compression": "deflate", "dtype": bool},
        {"rowsperstrip": 7, "compression": "deflate"},
        {},
        {"dtype": bool, "photometric": "miniswhite"},
        {"photometric": "palette", "colormap": np.eye(3, 256, 1, np.uint16)},
        {"tile": (16, 32), "dtype": np.float32},
    ],
    ids=["tiles", "bits", "strips", "as it is", "white is 0", "palette", "numbers"],
)
def test_masks_in_tiffs_are_read_tile_by_tile(tmp_path, options):
    image = HALF.astype(options.get("dtype", np.uint8))
    image = ~image if options.get("photometric") == "miniswhite" else image
    tifffile.imwrite(tmp_path / "mask.tif", image, metadata=None, **{"photometric": "minisblack"} | options)
    assert (read_mask(tmp_path / "mask.tif", SLIDE, DOWNSAMPLE, SHAPE) == EXPECTED).all()


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "rgb", "planarconfig": "separate"},
        {"photometric": "rgb", "planarconfig": "separate", "compression": "deflate"},
        {"photometric": "minisblack", "metadata": {"axes": "CYX"}, "ome": True},
        {"photometric": "minisblack", "metadata": {"axes": "CYX"}, "imagej": True},
    ],
    ids=["planes", "packed planes", "OME", "ImageJ"],
)
def test_colours_in_planes_or_pages_are_refused(tmp_path, options):
    """The first alone, red, is black everywhere."""
    tifffile.imwrite(tmp_path / "mask.tif", np.stack([HALF * 0, HALF * 255, HALF * 0]), **options)
    with pytest.raises(Unusable, match=r"mask\.tif has its colours in separate pages or planes: save it as one page"):
        read_mask(tmp_path / "mask.tif", SLIDE, DOWNSAMPLE, SHAPE)


@pytest.mark.parametrize("flagged", [True, False])
def test_the_pyramid_level_that_the_thumbnail_needs_is_read(tmp_path, flagged):
    fine = np.kron(HALF, np.ones((8, 8), np.uint8))
    with tifffile.TiffWriter(tmp_path / "mask.tif") as tiff:
        for n, level in enumerate((fine, fine[::4, ::4], fine[::8, ::8], fine[::32, ::32])):
            options = {"subfiletype": int(flagged and n > 0), "compression": "deflate", "metadata": None}
            tiff.write(level, tile=(16, 32), photometric="minisblack", **options)
    for wrong in (0, 1, 3):
        zero_tiles(tmp_path / "mask.tif", [0], wrong)  # cannot be decoded
    assert (read_mask(tmp_path / "mask.tif", (0, 0, 1280, 640), 12.8, SHAPE) == EXPECTED).all()


def test_a_mask_may_exceed_the_size_limit_of_pillow(tmp_path, monkeypatch):
    Image.fromarray(HALF).save(tmp_path / "mask.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert (read_mask(tmp_path / "mask.png", SLIDE, DOWNSAMPLE, SHAPE) == EXPECTED).all()
    assert Image.MAX_IMAGE_PIXELS == 1000


def png_of(width, height):
    """The header of a grey PNG."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_invalid_masks_are_the_slides_outcome_and_name_the_file(tmp_path):
    Image.new("L", (10, 10)).save(tmp_path / "square.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "huge.png").write_bytes(png_of(160_000, 80_000))
    (tmp_path / "text.geojson").write_text("no polygons")
    (tmp_path / "cut.geojson").write_text(json.dumps(box("", 0, 0, 3000, 800))[:-20])
    (tmp_path / "elsewhere.geojson").write_text(json.dumps(box("", 2000, 0, 3000, 800)))
    for name, words in [
        ("absent.png", "No such file"),
        ("absent.geojson", "does not exist"),
        ("folder.png", "directory"),
        ("text.png", "is damaged or not an image"),
        ("empty.png", "is damaged or not an image"),
        ("huge.png", "160000 x 80000 px, but PNG is decoded as a whole, up to 1024 megapixels .* tiled TIFF"),
        ("text.geojson", "not JSON"),
        ("cut.geojson", "not JSON"),
        ("square.png", "10 x 10 px"),
        ("elsewhere.geojson", "outside the 1600 x 800 px that it should cover"),
    ]:
        with pytest.raises(Unusable, match=words) as caught:
            read_mask(tmp_path / name, SLIDE, DOWNSAMPLE, SHAPE)
        assert caught.value.outcome == "wrong_mask"
        assert str(caught.value).startswith(f"mask {tmp_path / name} ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [0.3, 0.95])
@pytest.mark.parametrize(
    ("name", "options"),
    [("m.png", {}), ("m.jpg", {}), ("m.tif", {"tile": (64, 64), "compression": "deflate"}), ("m.tif", {})],
    ids=["png", "jpeg", "tiles", "one strip"],
)
def test_a_truncated_mask_is_an_error(tmp_path, name, options, part):
    noise = np.random.default_rng(0).integers(0, 2, (80, 160), np.uint8) * 255
    path = tmp_path / name
    if path.suffix == ".tif":
        tifffile.imwrite(path, noise, metadata=None, **options)
    else:
        Image.fromarray(noise).save(path)
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(Unusable, match=f"mask {path} is damaged or not an image"):
        read_mask(path, SLIDE, DOWNSAMPLE, SHAPE)


def test_an_io_error_is_not_reported_as_a_damaged_mask(tmp_path):
    memory = Path("/proc/self/mem")
    if not memory.exists():
        pytest.skip("needs a file whose reading fails with an I/O error")
    with pytest.raises(OSError, match="Input/output error"):
        read_mask(memory, SLIDE, DOWNSAMPLE, SHAPE)
