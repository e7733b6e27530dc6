import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from openslide import OpenSlide
from PIL import Image
from tests.drawing import drawn_slide, glass_slide
from tests.slides.damaged_files import zero_tiles

import tile_slide
from gensis.images.codec import decode
from gensis.images.store import Store
from gensis.slides.drawing import draw_slide, write_pyramid
from gensis.slides.quality import focus

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "workflow" / "scripts" / "tile_slide.py"
DATA = Path(os.environ.get("GENSIS_DATA", ROOT / ".." / "shared" / "data")) / "histology"
SMALL = {"tile_px": 64, "mpp": 1.0, "tissue": {"mpp": 4.0, "minimum_area_um2": 2000}}

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no real slides here: set GENSIS_DATA to their folder")


def command_line(folder, slide, config, arguments):
    names = ["--config", json.dumps(config), "--slide", slide, "--unit", "unit", "--threads", "2"]
    return [*map(str, [*names, "--store", folder / "unit.h5", "--outcome", folder / "unit.json", *arguments])]


def run_script(folder, slide, config=SMALL, *arguments):
    """Run the script in a process of its own."""
    command = [sys.executable, SCRIPT, *command_line(folder, slide, config, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def tile(folder, slide, config=SMALL, *arguments):
    """Run the script's main function in this process; returns the outcome and the open store."""
    parsed = tile_slide.argument_parser().parse_args(command_line(folder, slide, config, arguments))
    parsed.started = time.time()
    tile_slide.main(parsed)
    return json.loads((folder / "unit.json").read_text()), h5py.File(folder / "unit.h5")


def images_of(folder):
    with Store(folder / "unit.h5") as store:
        return [decode(encoded) for encoded in store.read(0, len(store))]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return drawn_slide(tmp_path_factory.mktemp("slide") / "slide.tiff", pen="blue")


@pytest.mark.parametrize(("mpp", "level"), [(0.5, 0), (1.0, 1)])
def test_tiles_at_a_level_equal_the_pixels_of_openslide(tmp_path, slide, mpp, level):
    outcome, file = tile(tmp_path, slide, SMALL | {"mpp": mpp, "encoding": "png"})
    assert outcome["outcome"] == "ok"
    assert outcome["images"] == len(file["coords"]) > 5
    for image, coords in zip(images_of(tmp_path), file["coords"][:].tolist()):
        expected = OpenSlide(slide).read_region(coords, level, (64, 64)).convert("RGB")
        assert (image == np.asarray(expected)).all()


def test_tiles_between_levels_are_resampled_from_the_finer_one(tmp_path, slide):
    _, file = tile(tmp_path, slide, SMALL | {"mpp": 0.75, "encoding": "png"})
    for image, coords in zip(images_of(tmp_path), file["coords"][:].tolist()):
        expected = OpenSlide(slide).read_region(coords, 0, (96, 96)).convert("RGB").resize((64, 64), Image.LANCZOS)
        assert np.abs(image.astype(int) - np.asarray(expected)).mean() < 1


def test_jpeg_tiles_are_close_to_the_slide(tmp_path, slide):
    _, file = tile(tmp_path, slide)
    expected = OpenSlide(slide).read_region(file["coords"][0].tolist(), 1, (64, 64)).convert("RGB")
    assert np.abs(images_of(tmp_path)[0].astype(int) - np.asarray(expected)).mean() < 4


def test_the_store_records_the_origin_of_its_tiles(tmp_path, slide):
    outcome, file = tile(tmp_path, slide)
    assert dict(file["coords"].attrs) == {
        "patch_size": 64, "patch_size_level0": 128, "patch_level": 1,
        "level0_magnification": 20, "target_magnification": 10,
    }  # fmt: skip
    assert file["coords"].dtype == np.int64
    assert file["tissue_fraction"].dtype == np.float32
    assert (file["tissue_fraction"][:] >= 0.5).all()
    expected = {"target_mpp": 1.0, "mpp_x": 0.5, "mpp_y": 0.5, "mpp_source": "tiff", "read_level": 1}
    expected |= {"width_level0": 512, "height_level0": 448, "tissue_method": "otsu", "content": outcome["content"]}
    assert expected.items() <= dict(file.attrs).items()
    record = json.loads(file.attrs["provenance"])
    assert record["settings"] == SMALL
    assert set(record["inputs"]) == {"slide"}
    assert not {"label", "group", "split"} & (set(file) | set(file.attrs))


def test_thumbnail_and_mask_show_the_whole_slide(tmp_path, slide):
    _, file = tile(tmp_path, slide)
    thumbnail, mask = (
        np.asarray(Image.open(io.BytesIO(file[name][:].tobytes()))) for name in ("thumbnail", "tissue_mask")
    )
    assert file["thumbnail"].attrs["downsample"] == file["tissue_mask"].attrs["downsample"] == 8
    assert thumbnail.shape == (56, 64, 3)
    assert mask.shape == (56, 64)
    expected = OpenSlide(slide).get_thumbnail((64, 56))
    assert np.abs(thumbnail.astype(int) - np.asarray(expected)).mean() < 10
    for (x, y), fraction in zip(file["coords"][:] // 8, file["tissue_fraction"][:]):
        assert (mask[y : y + 16, x : x + 16] > 0).mean() == pytest.approx(fraction)


def test_the_store_does_not_depend_on_threads_or_process(tmp_path, slide):
    first, _ = tile(tmp_path, slide)
    for threads in ("1", "5"):
        done = run_script(tmp_path, slide, SMALL, "--threads", threads)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "unit.json").read_text())["content"] == first["content"]


def test_tiles_per_slide_selects_the_same_tiles_in_order(tmp_path, slide):
    everything = tile(tmp_path, slide)[1]["coords"][:].tolist()
    some = tile(tmp_path, slide, SMALL | {"tiles_per_slide": 4})[1]["coords"][:].tolist()
    assert len(some) == 4
    assert some == [coords for coords in everything if coords in some]
    assert some == tile(tmp_path, slide, SMALL | {"tiles_per_slide": 4})[1]["coords"][:].tolist()


def test_method_none_keeps_the_whole_grid(tmp_path):
    slide = glass_slide(tmp_path / "glass.tiff")
    _, file = tile(tmp_path, slide, SMALL | {"tissue": {"method": "none"}})
    assert file["coords"].shape == (4 * 3, 2)


def test_a_mask_decides_what_is_tissue(tmp_path, slide):
    mask = np.zeros((7, 8), np.uint8)
    mask[:2, 2:4] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    _, file = tile(tmp_path, slide, SMALL, "--mask", tmp_path / "mask.png")
    assert file["coords"][:].tolist() == [[128, 0]]
    assert file.attrs["tissue_method"] == "mask"


def test_the_sheets_resolution_overrides_the_files(tmp_path, slide):
    _, file = tile(tmp_path, slide, SMALL, "--mpp", "1")
    assert (file.attrs["mpp_x"], file.attrs["mpp_source"], file.attrs["read_level"]) == (1.0, "sheet", 0)


def make_empty(path):
    path.write_bytes(b"")


def make_text(path):
    path.write_text("these are not the pixels that you are looking for")


def dark_slide(path):
    """Bright nuclei on black, and a corner that was not scanned."""
    shining = np.zeros((448, 512, 3), np.uint8)
    shining[60:300, 60:300, 2] = np.random.default_rng(0).integers(0, 255, (240, 240))
    shining[:50, :50] = 255
    write_pyramid(path, shining, 0.5)


def deep_picture(path):
    Image.fromarray(np.full((300, 300), 2000, np.uint16)).save(path, "PNG")


@pytest.mark.parametrize(
    ("make", "outcome", "words"),
    [
        (make_empty, "unreadable", "empty"),
        (make_text, "unreadable", "[Uu]nsupported"),
        (glass_slide, "no_tissue", "mask"),
        (lambda path: glass_slide(path, 100, 100), "too_small", "100 x 100 px .* 128 x 128: lower"),
        (dark_slide, "unsupported", "background is black"),
        (deep_picture, "unsupported", "16 bits"),
        (lambda path: drawn_slide(path, mpp=None), "missing_mpp", "column mpp"),
        (lambda path: drawn_slide(path, mpp=30), "wrong_mpp", "30 um/px"),
        (lambda path: drawn_slide(path, mpp=2), "too_coarse", "2 um/px, .* 1:"),
    ],
)
def test_a_bad_slide_leaves_an_empty_store_and_a_reason(tmp_path, make, outcome, words):
    make(tmp_path / "slide.tiff")
    found, file = tile(tmp_path, tmp_path / "slide.tiff")
    assert (found["outcome"], found["images"], found["failed"]) == (outcome, 0, 0)
    assert re.search(words, found["reason"])
    assert file["offsets"][:].tolist() == [0]
    assert file["coords"].shape == (0, 2)
    assert file["tissue_fraction"].shape == file["encoded"].shape == (0,)
    assert {"thumbnail", "tissue_mask"} <= set(file)
    assert found["content"] == file.attrs["content"]


def test_damaged_tiles_are_left_out_and_counted_never_filled_in(tmp_path):
    config = SMALL | {"mpp": 0.5, "encoding": "png"}
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=768, height_px=768)
    before = tile(tmp_path, slide, config)[1]["coords"][:].tolist()
    zero_tiles(slide, [4])  # the middle one of 3 x 3: 256 to 512 px
    whole = [(x, y) for x, y in before if not (192 < x < 512 and 192 < y < 512)]
    found, file = tile(tmp_path, slide, config)
    assert (found["outcome"], found["failed"]) == ("partial", len(before) - len(whole))
    assert "cannot be read" in found["reason"]
    assert file["coords"][:].tolist() == [list(at) for at in whole]
    assert len(images_of(tmp_path)) == found["images"] == len(file["coords"])


def test_only_tiles_in_unreadable_parts_of_the_thumbnail_fail(tmp_path):
    # At this tissue resolution the thumbnail is made from level 0, where the damage is.
    config = SMALL | {"mpp": 0.5, "tissue": {"mpp": 0.9, "minimum_area_um2": 2000}}
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=768, height_px=768)
    before = tile(tmp_path, slide, config)[1]["coords"][:].tolist()
    zero_tiles(slide, [4])
    found, file = tile(tmp_path, slide, config)
    after = file["coords"][:].tolist()
    assert found["outcome"] == "partial"
    assert found["failed"] >= 16
    assert not [(x, y) for x, y in after if 192 < x < 512 and 192 < y < 512]
    far = [[x, y] for x, y in before if not (64 <= x <= 576 and 64 <= y <= 576)]
    assert len(far) > 5
    assert [coords for coords in after if coords in far] == far


def test_choosing_tiles_does_not_change_the_fraction_that_failed(tmp_path):
    config = SMALL | {"mpp": 0.5, "tissue": {"mpp": 0.9, "minimum_area_um2": 2000}}
    slide = zero_tiles(drawn_slide(tmp_path / "slide.tiff", width_px=768, height_px=768), [4])
    whole, _ = tile(tmp_path, slide, config)
    some, _ = tile(tmp_path, slide, config | {"tiles_per_slide": 20})
    assert some["images"] + some["failed"] == 20
    assert some["failed"] / 20 == pytest.approx(whole["failed"] / (whole["images"] + whole["failed"]), abs=0.25)


def test_a_slide_without_a_readable_level_is_unreadable(tmp_path):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=768, height_px=768)
    for level, count in enumerate((9, 4, 1)):
        zero_tiles(slide, range(count), level)
    found, _ = tile(tmp_path, slide)
    assert found["outcome"] == "unreadable"
    assert "no pixel of the slide can be read" in found["reason"]


def test_a_missing_slide_is_a_one_line_error(tmp_path, slide):
    done = run_script(tmp_path, slide, SMALL, "--slide", "absent.svs")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "absent.svs cannot be opened" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "unit.h5").exists()


def test_a_blue_stain_gives_a_remark_and_ink_alone_no_tissue(tmp_path):
    slide = draw_slide("lymphoid", width_px=512, height_px=448, seed=0)
    density = np.log10(242 / np.maximum(slide, 1)).mean(-1, keepdims=True).clip(0)
    write_pyramid(tmp_path / "blue.tiff", (242 * 10 ** (-density * (1.8, 0.8, 0.4))).astype(np.uint8), 0.5)
    found, _ = tile(tmp_path, tmp_path / "blue.tiff")
    assert (found["outcome"], found["images"] > 5) == ("ok", True)
    assert "taken as stained tissue" in found["reason"]
    flat = np.full((448, 512, 3), 242, np.uint8)
    flat[64:320, 64:320] = (40, 80, 170)
    write_pyramid(tmp_path / "ink.tiff", flat, 0.5)
    found, _ = tile(tmp_path, tmp_path / "ink.tiff")
    assert found["outcome"] == "no_tissue"
    assert re.search(r"\d+ tiles have marker ink, or a blue", found["reason"])


@pytest.mark.parametrize("content", [None, b"", b"no image"], ids=["absent", "empty", "text"])
def test_an_unreadable_mask_is_the_slides_outcome(tmp_path, slide, content):
    mask = tmp_path / "mask.png"
    if content is not None:
        mask.write_bytes(content)
    found, file = tile(tmp_path, slide, SMALL, "--mask", mask)
    assert (found["outcome"], found["images"]) == ("wrong_mask", 0)
    assert found["reason"].startswith(f"mask {mask} ")
    assert set(json.loads(file.attrs["provenance"])["inputs"]) == ({"slide", "mask"} if mask.exists() else {"slide"})


def test_tiling_does_not_import_torch():
    code = "import sys, tile_slide, draw_demo_slides; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent).returncode == 0


@needs_data
@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("broken/broken.svs", "unreadable"),
        ("broken/unopenable.tiff", "unreadable"),
        ("broken/unreadable.svs", "unreadable"),
        ("broken/boxes.tiff", "wrong_mpp"),
        ("formats/CMU-1-Small-Region.jpeg.tiff", "wrong_mpp"),
        ("aperio/tcga-cr-7395-01a-01-ts1.svs", "missing_mpp"),
        ("aperio/cmu-1-small-region.svs", "ok"),
    ],
)
def test_outcomes_of_real_files(tmp_path, path, outcome):
    found, _ = tile(tmp_path, DATA / path, {})
    assert found["outcome"] == outcome


@needs_data
def test_the_fields_of_a_real_slide_are_tiled(tmp_path):
    slide = DATA / "lymphoma" / "CLL_sj-03-2810.tiff"
    found, _ = tile(tmp_path, slide, {"tile_px": 224, "mpp": 0.5})
    assert found["images"] == 96  # six fields of 840 px, each under 4 x 4 tiles
    white = np.array([(image.min(-1) > 225).mean() for image in images_of(tmp_path)])
    assert (white < 0.6).all()


def test_focus_is_measured_at_the_resolution_of_the_tiles(tmp_path, slide):
    _, file = tile(tmp_path, slide, SMALL | {"encoding": "png", "focus_mpp": 1.0})  # level 0 has 0.5 um/px
    expected = [focus(image, mpp=1.0, focus_mpp=1.0) for image in images_of(tmp_path)]
    assert file["focus"][:].tolist() == pytest.approx(expected, rel=1e-4)
