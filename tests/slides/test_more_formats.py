"""Slides that need optional packages: DICOM, OME-Zarr and CZI that OpenSlide refuses."""

import json
import sys

import imagecodecs
import numpy as np
import pytest
from tests.slides.more_formats import (
    MPP,
    TILE_PX,
    write_czi,
    write_czi_pyramid,
    write_dicom,
    write_ome_zarr,
    write_zarr_attributes,
)
from tests.slides.test_tile_slide import DATA, needs_data, tile

from gensis.slides.drawing import draw_slide
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import Unusable
from gensis.slides.reader import DamagedRegion
from gensis.slides.resolution import slide_resolution
from gensis.slides.slide_files import identifying_files, slide_files
from tile_slide import head_id

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
            np.testing.assert_array_equal(outside, np.full((5, 9, 3), 255))


@pytest.mark.parametrize(("version", "chunk"), [("0.4", "0.1.2 1.1.2 2.1.2"), ("0.5", "c/0/1/2 c/1/1/2 c/2/1/2")])
def test_a_tile_of_ome_zarr_is_read_from_its_own_chunks(tmp_path, version, chunk):
    pytest.importorskip("zarr")
    folder = write_ome_zarr(tmp_path / "slide.zarr", PYRAMID, version, axes="cyx")
    files = {str(file.relative_to(folder / "0")): file for file in (folder / "0").rglob("*") if file.is_file()}
    for name in set(files) - {*chunk.split(), ".zarray", ".zattrs", "zarr.json"}:
        files[name].write_bytes(b"damaged")
    with open_slide(folder) as reader:
        here = reader.region(0, x=2 * TILE_PX, y=TILE_PX, width=TILE_PX, height=TILE_PX)
        np.testing.assert_array_equal(here, FINEST[TILE_PX : 2 * TILE_PX, 2 * TILE_PX : 3 * TILE_PX])
        with pytest.raises(DamagedRegion, match=r"chunk \(0, 0\) of level 0"):
            reader.region(0, x=0, y=0, width=8, height=8)


@pytest.mark.parametrize("codec", ["gzip", "bz2", "zlib"])
def test_a_damaged_chunk_of_ome_zarr_is_a_damaged_region_with_any_codec(tmp_path, codec):
    pytest.importorskip("zarr")
    compressor = pytest.importorskip("numcodecs").get_codec({"id": codec})
    folder = write_ome_zarr(tmp_path / "slide.zarr", PYRAMID, "0.4", axes="cyx", codec=compressor)
    (folder / "0/0.0.0").write_bytes(b"damaged")
    with open_slide(folder) as reader, pytest.raises(DamagedRegion, match=r"chunk \(0, 0\) of level 0"):
        reader.region(0, x=0, y=0, width=8, height=8)


def test_an_io_error_of_an_ome_zarr_chunk_is_not_a_damaged_region(tmp_path):
    pytest.importorskip("zarr")
    folder = write_ome_zarr(tmp_path / "slide.zarr", PYRAMID, "0.4", axes="cyx")
    (folder / "0/0.0.0").unlink()
    (folder / "0/0.0.0").symlink_to("0.0.0")
    with open_slide(folder) as reader, pytest.raises(OSError, match="symbolic links"):
        reader.region(0, x=0, y=0, width=8, height=8)


def test_a_tile_of_dicom_is_read_from_its_own_frame(tmp_path):
    pytest.importorskip("wsidicom")
    file = write_dicom(tmp_path / "slide", [FINEST]) / "0-0.dcm"
    frame = imagecodecs.jpegls_encode(np.ascontiguousarray(FINEST[:TILE_PX, :TILE_PX]))
    content = file.read_bytes()
    assert content.count(frame) == 1
    file.write_bytes(content.replace(frame, bytes(len(frame))))
    with open_slide(file) as reader:
        here = reader.region(0, x=TILE_PX, y=0, width=TILE_PX, height=TILE_PX)
        np.testing.assert_array_equal(here, FINEST[:TILE_PX, TILE_PX : 2 * TILE_PX])
        with pytest.raises(DamagedRegion, match=r"level 0 at \(0, 0\)"):
            reader.region(0, x=0, y=0, width=8, height=8)


def test_a_chunk_that_ome_zarr_omits_has_the_fill_value(tmp_path):
    pytest.importorskip("zarr")
    folder = write_ome_zarr(tmp_path / "slide.zarr", PYRAMID, "0.5", axes="cyx")
    for channel in range(3):
        (folder / "0" / "c" / str(channel) / "0" / "0").unlink()
    with open_slide(folder) as reader:
        assert not reader.region(0, x=0, y=0, width=TILE_PX, height=TILE_PX).any()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_of_the_images_of_bioformats2raw_the_largest_is_the_slide(tmp_path, version):
    pytest.importorskip("zarr")
    folder = tmp_path / "slide.zarr"
    write_zarr_attributes(folder, {"bioformats2raw.layout": 3}, version)
    write_ome_zarr(folder / "0", [FINEST[:90, :90]], version, mpp=8)
    write_ome_zarr(folder / "1", PYRAMID, version)
    write_ome_zarr(folder / "2", [FINEST[:150, :200]], version)
    with open_slide(folder) as reader:
        assert reader.level_sizes == ((300, 200), (150, 100))
        assert reader.remark.startswith("only its largest scan is tiled, others (200 x 150 px) are not")


def test_of_the_scenes_of_a_czi_the_largest_is_the_slide(tmp_path):
    pytest.importorskip("pylibCZIrw")
    with open_slide(write_czi(tmp_path / "slide.czi", FINEST[:90, :120], FINEST)) as reader:
        np.testing.assert_array_equal(reader.region(0, x=0, y=0, width=300, height=200), FINEST)
        assert reader.remark.startswith("only its largest scan is tiled, others (120 x 90 px) are not")


def test_the_levels_of_a_czi_are_those_of_its_pyramid_as_openslide_reads_it(tmp_path):
    pytest.importorskip("pylibCZIrw")
    pyramid = [FINEST, FINEST[::2, ::2], FINEST[::4, ::4]]
    path = write_czi_pyramid(tmp_path / "slide.czi", pyramid, at=(-40, 70))
    with open_slide(path, "czi") as reader, open_slide(path) as reference:
        assert (reference.kind, reader.tile_sizes[:2]) == ("openslide", ((TILE_PX, TILE_PX),) * 2)
        assert reader.level_sizes == reference.level_sizes == tuple(level.shape[1::-1] for level in pyramid)
        assert slide_resolution(reader.properties).mpp_x == slide_resolution(reference.properties).mpp_x == MPP
        for level, pixels in enumerate(pyramid):
            place = {"x": -4, "y": 9, "width": 60, "height": 40}
            np.testing.assert_array_equal(reader.region(level, **place), reference.region(level, **place))
            np.testing.assert_array_equal(reader.region(level, **place)[:, 4:], pixels[9:49, :56])


def test_instances_of_another_series_in_the_folder_are_not_read(tmp_path):
    pytest.importorskip("wsidicom")
    folder = write_dicom(tmp_path / "slide", PYRAMID)
    write_dicom(tmp_path / "other", [np.pad(FINEST, [(0, 100), (0, 100), (0, 0)])], series="1.2.4")
    (tmp_path / "other" / "0-0.dcm").rename(folder / "other.dcm")
    with open_slide(folder / "1-0.dcm") as reader:
        assert reader.level_sizes == ((300, 200), (150, 100))
    with open_slide(folder / "other.dcm") as reader:
        assert reader.level_sizes == ((400, 300),)
    with pytest.raises(Unusable, match=r"2 series.* name one instance"):
        open_slide(folder)


def zarr_of(folder, **changes):
    return write_ome_zarr(folder / "slide.zarr", changes.pop("pyramid", PYRAMID), **changes)


REFUSED = {
    "ome_zarr z": (lambda folder: restacked(zarr_of(folder), "z"), "a stack of 2 focal planes"),
    "ome_zarr t": (lambda folder: restacked(zarr_of(folder), "t"), "a series of 2 time points"),
    "ome_zarr 16": (lambda folder: zarr_of(folder, pyramid=[FINEST.astype(np.uint16)]), r"3 channel\(s\) of uint16"),
    "ome_zarr 4": (lambda folder: zarr_of(folder, pyramid=[FINEST.repeat(2, axis=2)]), r"6 channel\(s\) of uint8"),
    "ome_zarr grey": (lambda folder: zarr_of(folder, pyramid=[FINEST[..., 0]], axes="yx"), r"1 channel\(s\)"),
    "ome_zarr version": (lambda folder: reversioned(zarr_of(folder)), r"version 0.3 .* 0.4 and 0.5 are read"),
    "dicom z": (
        lambda folder: write_dicom(folder / "slide", PYRAMID, TotalPixelMatrixFocalPlanes=3),
        "a stack of 3 focal planes",
    ),
    "dicom grey": (
        lambda folder: write_dicom(folder / "slide", PYRAMID, SamplesPerPixel=1, BitsAllocated=16),
        r"1 channel\(s\) of 16 bits",
    ),
    "czi z": (
        lambda folder: write_czi(folder / "slide.czi", FINEST, planes=[{"Z": 0}, {"Z": 1}]),
        "a stack of 2 focal planes",
    ),
    "czi t": (
        lambda folder: write_czi(folder / "slide.czi", FINEST, planes=[{"T": 0}, {"T": 1}]),
        "a series of 2 time points",
    ),
    "czi channels": (
        lambda folder: write_czi(folder / "slide.czi", FINEST, planes=[{"C": 0}, {"C": 1}]),
        r"2 channel\(s\) of Bgr24",
    ),
    "czi 16": (
        lambda folder: write_czi(folder / "slide.czi", FINEST[..., :1], pixel_type=np.uint16),
        r"1 channel\(s\) of Gray16",
    ),
}


def restacked(folder, axis):
    """Two planes along an axis: the arrays' metadata say so, and no further chunk is stored."""
    for file in folder.rglob(".zarray"):
        array = json.loads(file.read_text())
        array["shape"]["tczyx".index(axis)] = 2
        file.write_text(json.dumps(array))
    return folder


def reversioned(folder):
    (folder / ".zattrs").write_text((folder / ".zattrs").read_text().replace('"0.4"', '"0.3"'))
    return folder


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_one_plane_of_8_bit_rgb_is_refused_by_name(tmp_path, what):
    pytest.importorskip(MODULES[what.split()[0]])
    write, reason = REFUSED[what]
    with pytest.raises(Unusable, match=reason) as caught:
        open_slide(write(tmp_path))
    assert caught.value.outcome == "unsupported"


@pytest.mark.parametrize("form", ["dicom folder", "ome_zarr 0.4 tczyx", "czi"])
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, form):
    path, _ = draw(form, tmp_path)
    monkeypatch.setitem(sys.modules, MODULES[form.split()[0]], None)
    monkeypatch.setitem(sys.modules, "pylibCZIrw.czi", None)
    with pytest.raises(Unusable, match=f"needs the package {MODULES[form.split()[0]]}: run `pip install") as caught:
        open_slide(path)
    assert caught.value.outcome == "unsupported"


@pytest.mark.parametrize("form", ["dicom instance", "ome_zarr 0.4 tczyx", "ome_zarr 0.5 cyx", "czi"])
def test_damaged_metadata_are_reported_as_damage(tmp_path, form):
    path, _ = draw(form, tmp_path)
    file = next((path / name for name in (".zattrs", "zarr.json") if (path / name).exists()), path)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(Unusable, match="copy it again") as caught:
        open_slide(path)
    assert caught.value.outcome == "unreadable"


def test_ome_zarr_without_a_unit_of_length_states_no_resolution(tmp_path):
    pytest.importorskip("zarr")
    with open_slide(write_ome_zarr(tmp_path / "slide.zarr", PYRAMID, unit=None)) as reader:
        assert reader.properties == {}


def test_a_folder_of_no_known_format_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no slide")
    with pytest.raises(Unusable, match="neither DICOM nor OME-Zarr") as caught:
        open_slide(tmp_path)
    assert caught.value.outcome == "unsupported"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_metadata_and_the_coarsest_level_tell_whether_ome_zarr_changed(tmp_path, version):
    pytest.importorskip("zarr")
    folder = write_ome_zarr(tmp_path / "slide.zarr", PYRAMID, version)
    files = set(slide_files(str(folder)))
    coarsest = {str(file) for file in (folder / "1").rglob("*") if file.is_file()}
    metadata = {str(file) for name in ("zarr.json", ".zattrs", ".zarray") for file in folder.rglob(name)}
    assert files == coarsest | metadata


@pytest.mark.parametrize(("form", "remark"), [("dicom folder", ""), ("ome_zarr 0.5 cyx", ""), ("czi", "300 x 150 px")])
def test_slides_are_tiled_as_others_and_the_store_names_the_reader(tmp_path, form, remark):
    path, _ = draw(form, tmp_path)
    if form == "czi":
        write_czi(path, FINEST, FINEST[:150])
    outcome, store = tile(tmp_path, path, {"tile_px": 64, "mpp": 0.5, "tissue": {"method": "none"}})
    with store:
        assert (outcome["outcome"], outcome["images"]) == ("ok", 4 * 3)
        assert remark in outcome["reason"]
        assert (store.attrs["reader"], store.attrs["mpp_source"]) == (form.split()[0], "metadata")


def test_slides_of_ome_zarr_with_the_same_metadata_are_told_apart(tmp_path):
    pytest.importorskip("zarr")
    ids = set()
    for name, pyramid in (("one", PYRAMID), ("two", [level[::-1] for level in PYRAMID]), ("copy", PYRAMID)):
        ids.add(head_id(*identifying_files(write_ome_zarr(tmp_path / name, pyramid))))
    assert len(ids) == 2


@needs_data
@pytest.mark.parametrize("as_folder", [True, False])
def test_real_dicom_has_the_pixels_of_the_slide_that_it_was_made_from(as_folder):
    pytest.importorskip("wsidicom")
    folder = DATA / "formats" / "dicom-jpeg"
    place = {"x": 1000, "y": 1200, "width": 300, "height": 200}
    with (
        open_slide(folder if as_folder else min(folder.iterdir())) as reader,
        open_slide(DATA / "aperio" / "cmu-1-small-region.svs") as original,
    ):
        assert (reader.kind, reader.level_sizes) == ("dicom", original.level_sizes)
        np.testing.assert_array_equal(reader.region(0, **place), original.region(0, **place))
        assert slide_resolution(reader.properties).mpp_x == slide_resolution(original.properties).mpp_x == 0.499
