"""Slides that are damaged, are not slides, or change while they are read."""

import json
import os
import re
import shutil
import struct
import threading
from functools import cache
from pathlib import Path

import imagecodecs  # noqa: F401  # tifffile's codecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.drawing import drawn_slide
from tests.slides.damaged_files import hit, middle_of_data, overwrite, touches, zero_tiles
from tests.slides.mirax import write_mirax
from tests.slides.test_tile_slide import DATA, SMALL, needs_data, run_script, tile

from gensis.artifacts.contents import Contents
from gensis.errors import UserError
from gensis.images.store import Store
from gensis.settings.datasets import Tiling
from gensis.slides.drawing import draw_slide
from gensis.slides.layout import lay_out
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import Unusable
from gensis.slides.reader import DamagedRegion
from gensis.slides.slide_files import slide_files
from gensis.slides.tiling import TileStream

GARBAGE_BYTES = 40_000
TILE_PX = 96  # does not divide the 128 px of the file's tiles
ALL_LEVEL_0 = SMALL | {"tile_px": TILE_PX, "mpp": 0.5, "encoding": "png"}
CODECS = {
    "jpeg": {"compression": "jpeg", "compressionargs": {"level": 95}},
    "jpeg2000": {"compression": "jpeg2000"},
    "aperio": {"compression": 33005, "description": "Aperio Image Library|MPP = 0.5"},
    "deflate": {"compression": "deflate"},
    "webp": {"compression": "webp"},
    "strips": {"compression": "deflate", "tile": None, "rowsperstrip": 24},
}


@cache
def picture():
    return draw_slide("lymphoid", width_px=900, height_px=760, seed=0)


def written(path, codec, levels):
    options = {"photometric": "rgb", "metadata": None, "tile": (128, 128), **CODECS[codec]}
    with tifffile.TiffWriter(path) as tiff:
        for n in range(levels):
            resolution = {"resolution": (20_000 / 2**n,) * 2, "resolutionunit": "CENTIMETER"}
            tiff.write(picture()[:: 2**n, :: 2**n], subfiletype=int(n > 0), **resolution, **options)
    return path


def tiled(folder, slide, config, *arguments):
    """The outcome, and the bytes of each stored tile by its corner."""
    outcome, file = tile(folder, slide, config, *arguments)
    with Store(folder / "unit.h5") as store:
        assert store.computed_content() == outcome["content"]
        images = store.read(0, len(store))
    assert outcome["images"] == len(images)
    return outcome, dict(zip(map(tuple, file["coords"][:].tolist()), images))


def assert_only_hit_tiles_are_lost(before, outcome, after, damaged, tile_level0=TILE_PX):
    """Tiles that overlap no damaged tile of the file are stored bit by bit, and the others are counted."""
    whole = {
        (x, y): image
        for (x, y), image in before.items()
        if not touches((x, y, x + tile_level0, y + tile_level0), damaged)
    }
    assert 0 < len(whole) < len(before)
    assert {corner: after.get(corner) for corner in whole} == whole
    lost = len(before) - len(after)
    assert (outcome["outcome"], outcome["failed"]) == (("partial", lost) if lost else ("ok", 0))


@pytest.mark.parametrize(
    ("codec", "reader", "filling", "notices"),
    [
        ("jpeg", "tiff", "zeros", True),
        ("jpeg", "tiff", "ones", True),
        ("jpeg", "tiff", "random", True),
        ("jpeg", "openslide", "random", True),
        ("jpeg2000", "tiff", "ones", True),
        ("aperio", "openslide", "random", False),
        ("deflate", "tiff", "random", True),
        ("webp", "tiff", "random", False),
        ("strips", "tiff", "zeros", True),
    ],
)
def test_garbage_loses_only_the_tiles_that_it_hits(tmp_path, codec, reader, filling, notices):
    slide = written(tmp_path / "slide.tiff", codec, levels=3)
    config = ALL_LEVEL_0 | {"reader": reader}
    _, before = tiled(tmp_path, slide, config)
    begin = middle_of_data(slide, GARBAGE_BYTES)
    damaged = hit(slide, begin, GARBAGE_BYTES)
    outcome, after = tiled(tmp_path, overwrite(slide, begin, GARBAGE_BYTES, filling), config)
    assert_only_hit_tiles_are_lost(before, outcome, after, damaged)
    assert outcome["failed"] > 0 or not notices  # JPEG 2000 and WebP have no checksums


@pytest.mark.parametrize(("tile_side", "reader"), [(128, "tiff"), (240, "tiff"), (240, "openslide")])
def test_garbage_without_a_pyramid_loses_only_the_tiles_that_it_hits(tmp_path, tile_side, reader):
    # The thumbnail is then also made from the damaged tiles, and its pixels are not aligned with the tiles.
    slide = tmp_path / "slide.tiff"
    options = {"photometric": "rgb", "metadata": None, "compression": "jpeg", "tile": (tile_side, tile_side)}
    tifffile.imwrite(slide, picture(), resolution=(20_300, 20_300), resolutionunit="CENTIMETER", **options)
    config = ALL_LEVEL_0 | {"reader": reader, "tissue": {"method": "otsu", "mpp": 5.7, "minimum_area_um2": 2000}}
    _, before = tiled(tmp_path, slide, config)
    begin = middle_of_data(slide, 6000)
    damaged = hit(slide, begin, 6000)
    outcome, after = tiled(tmp_path, overwrite(slide, begin, 6000, "ones"), config)
    whole = {at for at in before if not touches((*at, at[0] + TILE_PX, at[1] + TILE_PX), damaged)}
    assert len(whole) > 5
    assert {at: after.get(at) for at in whole} == {at: before[at] for at in whole}
    assert outcome["failed"] >= len(before) - len(after) > 0


@pytest.mark.parametrize("reader", ["tiff", "openslide"])
def test_garbage_at_low_resolution_loses_no_tiles(tmp_path, reader):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=768, height_px=768)
    config = ALL_LEVEL_0 | {"reader": reader}
    _, before = tiled(tmp_path, slide, config)
    outcome, after = tiled(tmp_path, zero_tiles(zero_tiles(slide, [0], level=2), [3], level=1), config)
    assert (outcome["outcome"], outcome["failed"]) == ("ok", 0)
    assert len(before.keys() - after.keys()) <= 1  # finer pixels slightly change the edge of the tissue
    assert all(after[corner] == before[corner] for corner in before.keys() & after.keys())


@needs_data
@pytest.mark.parametrize(
    ("path", "reader", "notices"),
    [
        ("aperio/cmu-1-small-region.svs", "tiff", True),
        ("aperio/cmu-1-small-region.svs", "openslide", True),
        ("aperio/tcga-cr-7395-01a-01-ts1.svs", "tiff", False),
        ("lymphoma/CLL_sj-03-2810.tiff", "tiff", True),
    ],
)
def test_garbage_in_a_real_slide_loses_only_the_tiles_that_it_hits(tmp_path, path, reader, notices):
    slide = shutil.copy(DATA / path, tmp_path)
    config = {"tile_px": 224, "mpp": 0.5, "reader": reader}
    _, before = tiled(tmp_path, slide, config, "--mpp", "0.5")
    begin = middle_of_data(slide, GARBAGE_BYTES)
    damaged = hit(slide, begin, GARBAGE_BYTES)
    outcome, after = tiled(tmp_path, overwrite(slide, begin, GARBAGE_BYTES, "random"), config, "--mpp", "0.5")
    assert_only_hit_tiles_are_lost(before, outcome, after, damaged, 224)
    assert outcome["failed"] > 0 or not notices


@pytest.mark.parametrize("part", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["jpeg", "deflate", "strips", "png", "jpg"])
def test_a_truncated_file_gives_the_complete_tiles_or_a_reason(tmp_path, kind, part):
    slide = tmp_path / f"slide.{kind}"
    if kind in CODECS:
        written(slide, kind, levels=2)
    else:
        Image.fromarray(picture()).save(slide)
    _, before = tiled(tmp_path, slide, ALL_LEVEL_0, "--mpp", "0.5")
    os.truncate(slide, int(slide.stat().st_size * part))
    outcome, after = tiled(tmp_path, slide, ALL_LEVEL_0, "--mpp", "0.5")
    assert after.items() <= before.items()
    if after:
        # If the thumbnail is truncated too, tiles that would have been glass also fail.
        assert outcome["failed"] >= len(before) - len(after)
        assert outcome["failed"] == len(before) - len(after) or 2 * outcome["failed"] > len(before)
        assert outcome["outcome"] == ("partial" if outcome["failed"] else "ok")
    else:
        assert outcome["outcome"] == "unreadable"
    assert outcome["reason"] or outcome["outcome"] == "ok"


def artifacts(folder):
    """Files in the folder next to the slide, including hidden ones."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(("slide", "mask")))


@pytest.mark.parametrize("kind", ["folder", "dangling link", "below a file"])
def test_a_file_that_cannot_be_opened_is_a_user_error(tmp_path, kind):
    slide = tmp_path / "slide.svs"
    if kind == "folder":
        slide.mkdir()
    elif kind == "dangling link":
        slide.symlink_to(tmp_path / "slide-elsewhere.svs")
    else:
        (tmp_path / "slides").write_text("no folder")
        slide = tmp_path / "slides" / "slide.svs"
    with pytest.raises(UserError, match=r"slide\.svs cannot be opened .*: correct its path in the sheet"):
        tile(tmp_path, slide)
    assert artifacts(tmp_path) == []


@pytest.fixture
def may_not_be_read():
    """Take away the permission to read a file; skip the test for root, who may read everything."""

    def close(path):
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything")

    return close


@pytest.mark.parametrize("kind", ["a file", "one of several files"])
def test_a_slide_that_may_not_be_read_is_unreadable_until_permission_is_given(tmp_path, may_not_be_read, kind):
    if kind == "a file":
        closed = slide = written(tmp_path / "slide.tiff", "jpeg", levels=3)
    else:
        slide = write_mirax(tmp_path / "slide.mrxs", picture(), {(0, 0): (0, 0)}, overlap_px=0)
        closed = tmp_path / "slide/Index.dat"

    def version():
        contents = Contents(tmp_path / "slide-versions.tsv")
        return contents.version("unit", slide_files(str(slide)), failed=lambda: True)

    config = ALL_LEVEL_0 | {"tile_px": 32, "tissue": {"method": "none"}}
    may_not_be_read(closed)
    before = version()
    outcome, _ = tile(tmp_path, slide, config)
    assert outcome["outcome"] == "unreadable"
    assert re.search(rf"may not read it \(.*{closed.name}.*\): give permission, and run again", outcome["reason"])
    assert version() == before
    closed.chmod(0o600)
    assert version() != before  # so that it is tiled again
    assert tile(tmp_path, slide, config)[0]["outcome"] == "ok"


def test_a_folder_that_may_not_be_read_is_an_unreadable_slide(tmp_path, may_not_be_read):
    slide = tmp_path / "slide"
    slide.mkdir()
    may_not_be_read(slide)
    outcome, _ = tile(tmp_path, slide)
    slide.chmod(0o700)
    assert outcome["outcome"] == "unreadable"
    assert re.search(r"may not read it \(.*slide.*\): give permission", outcome["reason"])


EVERYWHERE = json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [5000, 0], [5000, 5000], [0, 5000], [0, 0]]]})


def mask_that(folder, action):
    """A mask of everything; `action` is called when it is read, which is after the slide was opened."""
    pipe = folder / "mask.geojson"
    os.mkfifo(pipe)

    def serve():
        with open(pipe, "w") as stream:  # opens when a reader does
            action()
            (folder / "mask-for-later").write_text(EVERYWHERE)
            os.replace(folder / "mask-for-later", pipe)
            stream.write(EVERYWHERE)

    threading.Thread(target=serve, daemon=True).start()
    return pipe


def test_a_slide_deleted_while_it_is_read_fails_the_job(tmp_path):
    slide = written(tmp_path / "slide.tiff", "jpeg", levels=3)
    mask = mask_that(tmp_path, slide.unlink)
    with pytest.raises(UserError, match=r"slide\.tiff cannot be opened \(No such file or directory\)"):
        tile(tmp_path, slide, ALL_LEVEL_0, "--mask", mask)
    assert artifacts(tmp_path) == []


def test_tiles_of_a_deleted_slide_are_complete_or_raise(tmp_path):
    original = written(tmp_path / "original.tiff", "jpeg", levels=3)
    for kind in ("tiff", "openslide"):
        slide = shutil.copy(original, tmp_path / f"{kind}.tiff")
        tiling = Tiling.model_validate(ALL_LEVEL_0 | {"reader": kind})
        with open_slide(slide, kind) as reader:
            layout = lay_out(reader, tiling, unit="unit", sheet_mpp=None, mask=None)
            os.remove(slide)
            stream = TileStream(reader, layout, tiling=tiling, encode=lambda pixels: pixels.tobytes(), threads=2)
            if kind == "tiff":  # holds the file open
                assert len(list(stream)) == len(layout.kept)
            else:  # opens it again in each thread
                with pytest.raises(UserError, match="cannot be opened"):
                    list(stream)


@pytest.mark.parametrize("reader", ["tiff", "openslide"])
def test_a_slide_truncated_while_it_is_read_loses_only_missing_tiles(tmp_path, reader):
    slide = written(tmp_path / "slide.tiff", "jpeg", levels=3)
    config = ALL_LEVEL_0 | {"reader": reader}
    (tmp_path / "mask-all.geojson").write_text(EVERYWHERE)
    _, before = tiled(tmp_path, slide, config, "--mask", tmp_path / "mask-all.geojson")
    end = middle_of_data(slide, 0)
    beyond = hit(slide, end, 1 << 40)
    mask = mask_that(tmp_path, lambda: os.truncate(slide, end))
    outcome, after = tiled(tmp_path, slide, config, "--mask", mask)
    if reader == "tiff":
        assert_only_hit_tiles_are_lost(before, outcome, after, beyond)
        assert outcome["failed"] > 0
    else:  # other threads cannot open what is left
        assert (outcome["outcome"], outcome["failed"], after) == ("unreadable", len(before), {})


def test_an_io_error_while_tiles_are_read_fails_the_job(tmp_path):
    memory = Path("/proc/self/mem")
    if not memory.exists():
        pytest.skip("needs a file whose reading fails with an I/O error")
    slide = written(tmp_path / "slide.tiff", "jpeg", levels=3)
    with open_slide(slide, "tiff") as reader, open(memory, "rb") as failing:
        os.dup2(failing.fileno(), reader._file.filehandle.fileno())
        with pytest.raises(OSError, match="Input/output error"):
            reader.region(0, x=0, y=0, width=100, height=100)


def test_an_io_error_is_one_line_and_leaves_nothing(tmp_path):
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs a file whose reading fails with an I/O error")
    done = run_script(tmp_path, "/proc/self/mem")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Input/output error: check the disk or the network" in done.stderr
    assert "Traceback" not in done.stderr
    assert artifacts(tmp_path) == []


@pytest.mark.parametrize(
    ("codec", "header", "claimed"),
    [
        ("jpeg", b"\xff\xc0\x00\x11\x08", b"\x20\x00\x20\x00"),
        ("jpeg2000", b"\xff\x51\x00\x2f\x00\x00", b"\x00\x00\x20\x00\x00\x00\x00\x80"),
        ("aperio", b"\xff\x51\x00\x2f\x00\x00", b"\x00\x00\x20\x00\x00\x00\x00\x80"),
    ],
    ids=("jpeg", "jpeg2000", "aperio"),
)
def test_a_tile_that_claims_to_be_huge_is_refused_before_allocation(tmp_path, codec, header, claimed):
    slide = written(tmp_path / "slide.tiff", codec, levels=1)
    with open(slide, "r+b") as stream:
        stream.seek(slide.read_bytes().index(header) + len(header))  # of the first tile
        stream.write(claimed)
    with open_slide(slide, "tiff") as reader, pytest.raises(DamagedRegion, match="claims to be"):
        reader.region(0, x=0, y=0, width=9, height=9)


def test_only_tiles_that_claim_too_many_bytes_fail(tmp_path):
    slide = written(tmp_path / "slide.tiff", "jpeg", levels=1)
    with tifffile.TiffFile(slide, mode="r+b") as tiff:
        counts = tiff.pages[0].tags["TileByteCounts"]
        counts.overwrite([2**32 - 1, *counts.value[1:]], erase=False)
    with open_slide(slide, "tiff") as reader:
        with pytest.raises(DamagedRegion, match="has an invalid position"):
            reader.region(0, x=0, y=0, width=256, height=9)
        assert reader.region(0, x=256, y=0, width=9, height=9).min() < 255
    with pytest.raises(Unusable, match="a tile claims 4294967295 bytes"):  # OpenSlide would allocate that much
        open_slide(slide, "openslide")


def test_tiles_of_unknown_size_are_not_read_with_openslide(tmp_path):
    slide = written(tmp_path / "slide.tiff", "jpeg", levels=1)
    with tifffile.TiffFile(slide) as tiff:
        place = tiff.pages[0].tags["TileByteCounts"].offset
    with open(slide, "r+b") as stream:
        stream.seek(place + 8)
        stream.write((4).to_bytes(4, "little"))  # its value is at byte 4, which tifffile rejects
    with pytest.raises(Unusable, match="TileByteCounts do not list all"):
        open_slide(slide, "openslide")


@pytest.mark.parametrize("kind", ["auto", "tiff", "openslide"])
def test_a_circular_list_of_pages_is_refused(tmp_path, kind):
    slide = written(tmp_path / "slide.tiff", "deflate", levels=2)
    with tifffile.TiffFile(slide) as tiff:
        first, last = tiff.pages[0].offset, tiff.pages[1].offset
        entries = len(tiff.pages[1].tags)
    with open(slide, "r+b") as stream:
        stream.seek(last + 2 + 12 * entries)
        stream.write(first.to_bytes(4, "little"))
    with pytest.raises(Unusable, match=r"is circular|Unsupported"):
        open_slide(slide, kind)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("ImageWidth", 2**24, "list all|lists"), ("TileWidth", 2**31 - 16, "do not fit in memory|lists|list all")],
)
@pytest.mark.parametrize("kind", ["auto", "openslide"])
def test_sizes_larger_than_the_file_are_refused(tmp_path, name, value, reason, kind):
    slide = written(tmp_path / "slide.tiff", "jpeg", levels=1)
    with tifffile.TiffFile(slide) as tiff:
        place = tiff.pages[0].tags[name].offset
    overwritten = struct.pack("<HHII", tifffile.TIFF.TAGS[name], tifffile.DATATYPE.LONG, 1, value)
    with open(slide, "r+b") as stream:
        stream.seek(place)
        stream.write(overwritten)
    with pytest.raises(Unusable, match=reason):
        open_slide(slide, kind)


def test_a_slide_too_long_for_its_thumbnail_is_unreadable(tmp_path):
    Image.fromarray(np.zeros((4, 70_000, 3), np.uint8)).save(tmp_path / "slide.png")
    outcome, _ = tile(tmp_path, tmp_path / "slide.png", SMALL, "--mpp", "4")
    assert outcome["outcome"] == "too_coarse"
    outcome, _ = tile(tmp_path, tmp_path / "slide.png", SMALL | {"mpp": 4}, "--mpp", "4")
    assert outcome["outcome"] == "unreadable"
    assert "its thumbnail would have 70000 x 4 px" in outcome["reason"]


def test_a_garbled_name_in_a_description_is_no_error(tmp_path):
    slide = tmp_path / "slide.svs"
    description = "Aperio Image Library v1|MPP = 0.5|Names = 1"
    with tifffile.TiffWriter(slide) as tiff:
        tiff.write(picture(), tile=(128, 128), compression="jpeg", description=description, metadata=None)
    slide.write_bytes(slide.read_bytes().replace(b"Names", b"\xff\xfe\xfdes"))
    for kind in ("auto", "openslide"):
        with open_slide(slide, kind) as reader:
            assert reader.properties["openslide.mpp-x"] == "0.5"
