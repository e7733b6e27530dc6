import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from openslide import OpenSlide
from PIL import Image
from tests.drawing import drawn_slide
from tests.slides.damaged_files import zero_tiles

from gensis.slides.drawing import draw_slide
from gensis.slides.jpeg import complete, decode_strictly
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import Unusable
from gensis.slides.reader import DamagedRegion, Unsupported
from gensis.slides.resolution import Resolution, slide_resolution
from gensis.slides.thumbnail import read_thumbnail
from gensis.slides.tiff_reader import TiffReader
from gensis.slides.units import Downsample

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GENSIS_DATA", ROOT / ".." / "shared" / "data")) / "histology"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no real slides here: set GENSIS_DATA to their folder")


@pytest.fixture(scope="module")
def picture():
    return draw_slide("glandular", width_px=300, height_px=200, seed=1)


def written(path, image, **options):
    tifffile.imwrite(path, image, photometric="rgb", **{"tile": (64, 64), "metadata": None, **options})
    return path


def openslide_pixels(path, level, x, y, width, height):
    with OpenSlide(path) as slide:
        ratio = slide.level_downsamples[level]
        assert ratio == int(ratio)
        region = slide.read_region((x * int(ratio), y * int(ratio)), level, (width, height))
        return np.asarray(Image.alpha_composite(Image.new("RGBA", region.size, "white"), region).convert("RGB"))


def rectangle(x, y, width, height):
    return {"x": x, "y": y, "width": width, "height": height}


@pytest.mark.parametrize(
    "rectangle",
    [rectangle(0, 0, 512, 448), rectangle(37, 201, 300, 100), rectangle(250, 250, 12, 12), rectangle(-20, 400, 90, 80)],
)
def test_pixels_equal_those_of_openslide(tmp_path, rectangle):
    slide = drawn_slide(tmp_path / "slide.tiff")
    with open_slide(slide) as reader:
        assert reader.kind == "tiff"
        for level in (0, 1):
            assert (reader.region(level, **rectangle) == openslide_pixels(slide, level, **rectangle)).all()


@needs_data
@pytest.mark.parametrize("name", ["cmu-1-small-region.svs", "tcga-cr-7395-01a-01-ts1.svs"])
def test_pixels_of_real_slides_equal_those_of_openslide(name):
    with open_slide(DATA / "aperio" / name) as reader:
        assert reader.kind == "tiff"
        for at in (rectangle(501, 700, 900, 600), rectangle(2000, 2700, 400, 400)):
            expected = openslide_pixels(DATA / "aperio" / name, 0, **at)
            assert (reader.region(0, **at) == expected).all()


@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"tile": None, "rowsperstrip": 48}, {"tile": None}])
@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "jpeg2000", "webp"])
def test_tiffs_that_openslide_refuses_are_read(tmp_path, picture, layout, compression):
    lossless = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
    path = written(tmp_path / "slide.tiff", picture, **layout, compression=compression, **lossless)
    with TiffReader(path) as reader:
        assert reader.level_sizes == ((300, 200),)
        for x, y in ((0, 0), (201, 130)):
            assert (reader.region(0, x=x, y=y, width=60, height=70) == picture[y : y + 70, x : x + 60]).all()


def test_levels_in_sub_images_are_found(tmp_path, picture):
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options = {"photometric": "rgb", "tile": (64, 64)}
        metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}
        tiff.write(picture, subifds=2, metadata=metadata, **options)
        tiff.write(picture[::2, ::2], subfiletype=1, **options)
        tiff.write(picture[::4, ::4], subfiletype=1, **options)
    with open_slide(path) as reader:
        assert reader.level_sizes == ((300, 200), (150, 100), (75, 50))
        assert reader.downsamples == (1, 2, 4)
        assert (reader.region(2, x=0, y=0, width=75, height=50) == picture[::4, ::4]).all()
        assert "PhysicalSizeX" in reader.properties["tiff.ImageDescription"]


def test_grey_and_transparent_pixels_become_rgb_on_white(tmp_path):
    grey = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    tifffile.imwrite(tmp_path / "grey.tiff", grey, tile=(16, 16), metadata=None)
    with TiffReader(tmp_path / "grey.tiff") as reader:
        assert (reader.region(0, x=0, y=0, width=64, height=64) == grey[..., None]).all()
    colours = np.zeros((64, 64, 4), np.uint8)
    colours[:32, :, 3] = 255
    written(tmp_path / "rgba.tiff", colours, extrasamples=["unassalpha"])
    with TiffReader(tmp_path / "rgba.tiff") as reader:
        pixels = reader.region(0, x=0, y=0, width=64, height=64)
    assert (pixels[:32] == 0).all()
    assert (pixels[32:] == 255).all()


def test_tiles_omitted_by_the_file_are_white(tmp_path, picture):
    path = tmp_path / "slide.tiff"
    tiles = [picture[:64, :64], None, None, picture[64:128, 64:128]]
    encoded = (b"" if tile is None else imagecodecs.zlib_encode(tile.tobytes()) for tile in tiles)
    tifffile.imwrite(
        path, encoded, shape=(128, 128, 3), dtype=np.uint8, tile=(64, 64), photometric="rgb", compression="deflate"
    )
    with open_slide(path) as reader:
        assert reader.kind == "tiff"
        pixels = reader.region(0, x=0, y=0, width=128, height=128)
    assert (pixels[:64, :64] == picture[:64, :64]).all()
    assert (pixels[:64, 64:] == 255).all()


def test_colours_in_separate_planes_are_left_to_openslide(tmp_path):
    image = np.zeros((3, 64, 64), np.uint8)
    with pytest.raises(Unsupported, match="separate planes"):
        TiffReader(written(tmp_path / "slide.tiff", image, planarconfig="separate"))


def test_a_strip_too_large_for_memory_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "slide.tiff") as tiff:
        options = {"dtype": np.uint8, "compression": "deflate", "rowsperstrip": 20_000, "photometric": "rgb"}
        tiff.write(iter([b"no pixels"]), shape=(20_000, 20_000, 3), metadata=None, **options)
    with pytest.raises(Unsupported, match="20000 x 20000 px do not fit in memory"):
        TiffReader(tmp_path / "slide.tiff")


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_drafts_show_the_same_area_at_reduced_size(tmp_path, picture, compression):
    path = written(tmp_path / "slide.tiff", picture, compression=compression)
    with TiffReader(path) as reader:
        draft, factor = reader.draft(0, x=64, y=64, width=200, height=100, scale=3.9)
        assert factor == 4
        full = reader.region(0, x=64, y=64, width=200, height=100)
    expected = np.asarray(Image.fromarray(full).reduce(4), int)
    assert draft.shape == expected.shape
    assert np.abs(draft.astype(int) - expected).mean() < (4 if compression == "jpeg" else 12)  # wavelets are sharper
    assert np.abs(draft.mean((0, 1)) - expected.mean((0, 1))).max() < 2


def test_damage_that_libjpeg_conceals_is_detected(tmp_path):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=512, height_px=256)
    with tifffile.TiffFile(slide) as tiff:
        page = tiff.pages[0]
        begin, count = page.dataoffsets[0], page.databytecounts[0]
    with open(slide, "r+b") as stream:
        stream.seek(begin + count // 2)
        stream.write(bytes(40))
    with TiffReader(slide) as reader:
        with pytest.raises(DamagedRegion, match="tile 0 of level 0"):
            reader.region(0, x=0, y=0, width=100, height=100)
        reader.region(0, x=256, y=0, width=256, height=256)


def test_a_truncated_file_loses_only_the_missing_tiles(tmp_path, picture):
    path = written(tmp_path / "slide.tiff", picture, compression="deflate")
    with tifffile.TiffFile(path) as tiff:
        last = tiff.pages[0].dataoffsets[-1]
    with TiffReader(path) as reader:
        os.truncate(path, last + 10)
        assert (reader.region(0, x=0, y=0, width=64, height=64) == picture[:64, :64]).all()
        with pytest.raises(DamagedRegion, match="truncated"):
            reader.region(0, x=290, y=190, width=10, height=10)


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_completed_jpeg_tiles_decode_to_the_pixels_of_the_tile(tmp_path, picture, photometric):
    path = tmp_path / "slide.tiff"
    if photometric == "ycbcr":
        written(path, picture, compression="jpeg", compressionargs={"level": 80})
    else:  # like Aperio: RGB is encoded directly, stated only by the tag
        tiles = [picture[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64)]
        encoded = (
            imagecodecs.jpeg8_encode(np.ascontiguousarray(t), colorspace="RGB", outcolorspace="RGB") for t in tiles
        )
        options = {"shape": (128, 128, 3), "dtype": np.uint8, "tile": (64, 64), "compression": 7, "metadata": None}
        tifffile.imwrite(path, encoded, photometric="rgb", **options)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        data = path.read_bytes()[page.dataoffsets[0] :][: page.databytecounts[0]]
        expected = page.decode(data, 0, jpegtables=page.jpegtables)[0][0]
        tile = complete(data, page.jpegtables, page.photometric == tifffile.PHOTOMETRIC.RGB)
    assert (decode_strictly(tile) == expected).all()
    assert (imagecodecs.jpeg8_decode(tile, outcolorspace="RGB") == expected).all()
    assert np.abs(expected.astype(int) - picture[:64, :64]).mean() < 12


@pytest.mark.parametrize("reduction", [1, 4])
def test_zeros_that_fill_up_a_jpeg_tile_are_no_damage_and_other_left_over_bytes_are(picture, reduction):
    whole = imagecodecs.jpeg8_encode(picture, level=90)
    pixels = decode_strictly(whole, reduction)
    for filling in (bytes(1), bytes(100)):
        assert (decode_strictly(whole[:-2] + filling + whole[-2:], reduction) == pixels).all()
    left_over = whole[:-2] + bytes(range(1, 9)) + whole[-2:]
    shifted = whole[:5000] + whole[5400:-2] + bytes(100) + whole[-2:]
    truncated = whole[: len(whole) // 2]
    for refused in (left_over, shifted, truncated, truncated + bytes(100) + whole[-2:]):
        with pytest.raises(ValueError, match="JPEG"):
            decode_strictly(refused, reduction)


@pytest.mark.parametrize("compression", ["lzw", "deflate"])
def test_ycbcr_pixels_outside_jpeg_keep_their_colours(tmp_path, picture, compression):
    stored = np.asarray(Image.fromarray(picture).convert("YCbCr"))
    options = {"photometric": "ycbcr", "tile": (64, 64), "metadata": None}
    extra = [(530, "H", 2, (1, 1), True)]  # YCbCrSubSampling
    tifffile.imwrite(tmp_path / "slide.tiff", stored, compression=compression, extratags=extra, **options)
    with open_slide(tmp_path / "slide.tiff") as reader:
        pixels = reader.region(0, x=0, y=0, width=300, height=200)
    assert np.abs(pixels.astype(int) - picture).mean() < 2


@pytest.mark.parametrize("compression", ["lzw", 33003])
def test_ycbcr_pixels_that_no_library_converts_are_refused(tmp_path, picture, compression):
    options = {"photometric": "ycbcr", "tile": (64, 64), "metadata": None}
    tifffile.imwrite(tmp_path / "slide.tiff", picture, compression=compression, **options)
    with pytest.raises(Unusable, match="its pixels are YCbCr, compressed with"):
        open_slide(tmp_path / "slide.tiff", "tiff")


def test_a_reader_that_is_set_is_used_and_its_error_is_the_outcome(tmp_path, picture):
    with open_slide(drawn_slide(tmp_path / "slide.tiff"), "openslide") as reader:
        assert reader.kind == "openslide"
    path = written(tmp_path / "webp.tiff", picture, compression="webp")
    with pytest.raises(Unusable, match="50001"):
        open_slide(path, "openslide")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_png_and_jpeg_files_are_slides_of_one_level(tmp_path, picture, suffix):
    Image.fromarray(picture).save(tmp_path / f"slide.{suffix}", quality=95)
    with open_slide(tmp_path / f"slide.{suffix}") as reader:
        assert (reader.kind, reader.level_sizes) == ("picture", ((300, 200),))
        pixels = reader.region(0, x=250, y=150, width=80, height=60)
    assert np.abs(pixels[:50, :50].astype(int) - picture[150:, 250:]).mean() < (1 if suffix == "png" else 8)
    assert (pixels[50:] == 255).all()
    assert (pixels[:, 50:] == 255).all()


def test_a_truncated_png_or_jpeg_is_unreadable(tmp_path, picture):
    for suffix in ("png", "jpg"):
        path = tmp_path / f"slide.{suffix}"
        Image.fromarray(picture).save(path)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(Unusable, match="image is damaged or not supported"):
            open_slide(path)


def test_special_cases_of_aperio_are_left_to_openslide(tmp_path, picture):
    slide = written(
        tmp_path / "slide.svs", picture, compression="jpeg", description="Aperio Image Library v1|MPP = 0.5"
    )
    with open_slide(slide) as reader:
        assert (reader.properties["openslide.vendor"], reader.kind) == ("aperio", "tiff")
    with tifffile.TiffFile(slide, mode="r+") as tiff:
        page = tiff.pages[0]
        page.tags["TileByteCounts"].overwrite([0, *page.databytecounts[1:]])
    with open_slide(slide) as reader:
        assert reader.kind == "openslide"


def test_zeroed_tiles_are_damaged_not_white(tmp_path):
    slide = zero_tiles(drawn_slide(tmp_path / "slide.tiff", width_px=512, height_px=256), [0])
    with TiffReader(slide) as reader, pytest.raises(DamagedRegion):
        reader.region(0, x=0, y=0, width=10, height=10)


UM = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}


def with_macro_first(path, slide, macro, macro_um, ome=True, tile=(64, 64)):
    """An image of a whole slide, then the slide at 0.25 um/px with a level of half its size, in a TIFF."""
    options = {"photometric": "rgb", "compression": "deflate"}
    metadata = [None, None]
    if ome:
        size = {} if macro_um is None else {"PhysicalSizeX": macro_um, "PhysicalSizeY": macro_um, **UM}
        metadata = [{"Name": "macro", **size}, {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, **UM}]
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        tiff.write(macro, metadata=metadata[0], tile=tile, resolution=(625, 625), resolutionunit=3, **options)
        tiff.write(slide, subifds=int(ome), metadata=metadata[1], tile=(64, 64), resolution=(40_000, 40_000), **options)
        tiff.write(slide[::2, ::2], subfiletype=1, metadata=None, tile=(64, 64), **options)
    return path


@pytest.mark.parametrize("macro_um", [16.0, 0.5, None])
def test_the_largest_image_of_an_ome_tiff_is_read_with_its_resolution(tmp_path, picture, macro_um):
    path = with_macro_first(
        tmp_path / "slide.ome.tif", picture, draw_slide("lymphoid", width_px=160, height_px=90, seed=0), macro_um
    )
    with open_slide(path) as reader:
        assert reader.level_sizes == ((300, 200), (150, 100))
        assert (reader.region(0, x=0, y=0, width=300, height=200) == picture).all()
        assert slide_resolution(reader.properties) == Resolution(0.25, 0.25, "ome-xml")
        assert reader.remark == ""


@pytest.mark.parametrize("tile", [(64, 64), None], ids=["tiles", "strips"])
def test_the_largest_image_is_read_if_a_thumbnail_comes_first(tmp_path, picture, tile):
    macro = draw_slide("lymphoid", width_px=160, height_px=90, seed=0)
    path = with_macro_first(tmp_path / "slide.tif", picture, macro, None, ome=False, tile=tile)
    with open_slide(path) as reader:
        assert reader.level_sizes[0] == (300, 200)
        assert (reader.region(0, x=0, y=0, width=300, height=200) == picture).all()


def test_an_unreadable_largest_image_is_not_replaced_by_the_first(tmp_path, picture):
    with tifffile.TiffWriter(tmp_path / "slide.tif") as tiff:
        tiff.write(picture[:64, :64], tile=(64, 64), photometric="rgb", metadata=None)
        planes = np.moveaxis(picture, -1, 0)
        tiff.write(planes, tile=(64, 64), photometric="rgb", metadata=None, planarconfig="separate")
    for kind in ("auto", "openslide"):
        with pytest.raises(Unusable, match="300 x 200 px, but OpenSlide shows another"):
            open_slide(tmp_path / "slide.tif", kind)


def test_a_macro_is_not_a_level(tmp_path, picture):
    with tifffile.TiffWriter(tmp_path / "slide.tif") as tiff:
        options = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
        tiff.write(picture, **options)
        tiff.write(picture[::2, ::2], subfiletype=1, **options)
        tiff.write(draw_slide("lymphoid", width_px=120, height_px=45, seed=0), subfiletype=1, **options)
    with open_slide(tmp_path / "slide.tif") as reader:
        assert (reader.kind, reader.level_sizes) == ("tiff", ((300, 200), (150, 100)))


def test_a_second_scan_in_a_plain_tiff_gives_a_remark(tmp_path, picture):
    with tifffile.TiffWriter(tmp_path / "slide.tif") as tiff:
        for image in (picture, picture[:150, :250], picture[::2, ::2], picture[:30, :60]):
            tiff.write(image, photometric="rgb", tile=(64, 64), metadata=None)
    with open_slide(tmp_path / "slide.tif") as reader:
        assert reader.level_sizes[0] == (300, 200)
        assert "others (250 x 150 px) are not" in reader.remark


@pytest.mark.parametrize(("other_um", "says"), [(0.25, True), (16.0, False)])
def test_a_second_scan_in_an_ome_tiff_gives_a_remark(tmp_path, picture, other_um, says):
    path = with_macro_first(tmp_path / "slide.ome.tif", picture, picture[:100, :120], other_um)
    with open_slide(path) as reader:
        assert reader.level_sizes[0] == (300, 200)
        assert ("120 x 100 px" in reader.remark) == says


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((3, 64, 64, 3), {"metadata": {"axes": "ZYXS"}, "photometric": "rgb"}, "3 focal planes: export the plane"),
        ((3, 64, 64, 3), {"metadata": None, "photometric": "rgb"}, "3 images of 64 x 64 px"),
        ((3, 64, 64), {"metadata": {"axes": "CYX"}, "photometric": "minisblack"}, "3 channels.*raw2ometiff --rgb"),
        ((4, 64, 64), {"metadata": {"axes": "CYX"}, "photometric": "minisblack"}, "4 channels.* brightfield"),
        (
            (3, 64, 64),
            {"metadata": {"axes": "CYX"}, "photometric": "minisblack", "dtype": np.uint16},
            "3 channels.* brightfield",
        ),
        ((64, 64, 5), {"planarconfig": "contig", "photometric": "minisblack"}, "5 channels.* brightfield"),
        ((64, 64), {"dtype": np.uint16, "photometric": "minisblack"}, "16 bits per channel.* brightfield"),
    ],
    ids=["focal planes", "pages", "colours in pages", "4 in pages", "16 bits in pages", "channels", "16 bits"],
)
@pytest.mark.parametrize("layout", [{"tile": (16, 16)}, {}], ids=["tiles", "strips"])
def test_stacks_and_fluorescence_are_unsupported_with_the_reason(tmp_path, shape, options, words, layout):
    image = np.zeros(shape, options.get("dtype", np.uint8))
    path = tmp_path / ("slide.ome.tif" if options.get("metadata") else "slide.tif")
    tifffile.imwrite(path, image, **options, **layout)
    with pytest.raises(Unusable, match=words) as caught:
        open_slide(path)
    assert caught.value.outcome == "unsupported"


def test_the_strips_of_a_wide_slide_are_read_as_a_whole_for_its_thumbnail(tmp_path, monkeypatch):
    """Narrower blocks would decode each strip once a block, where a row of blocks is larger than the cache."""
    image = np.random.default_rng(0).integers(0, 256, (600, 7000, 3), np.uint8)
    tifffile.imwrite(tmp_path / "strips.tif", image, photometric="rgb", rowsperstrip=16, compression="deflate")
    with TiffReader(tmp_path / "strips.tif") as reader:
        read, draft = [], reader.draft
        monkeypatch.setattr(reader, "draft", lambda level, **area: read.append(area) or draft(level, **area))
        thumbnail = read_thumbnail(reader, Downsample(4.0))
    assert thumbnail.image.shape == (150, 1750, 3)
    assert {(area["x"], area["width"]) for area in read} == {(0, 7000)}
    assert max(area["height"] for area in read) < 2048**2 / 7000 + 16
