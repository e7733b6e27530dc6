from concurrent.futures import ThreadPoolExecutor
from ctypes import ArgumentError
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from openslide import OpenSlideError
from PIL import Image
from tests.drawing import drawn_slide
from tests.slides.damaged_files import zero_tiles

from gensis.errors import UserError
from gensis.slides.opening import open_slide
from gensis.slides.openslide_reader import OpenSlideReader
from gensis.slides.outcomes import Unusable
from gensis.slides.reader import DamagedRegion, over_white, resample
from gensis.slides.tiling import in_order


def test_transparent_pixels_are_composited_on_white():
    image = Image.fromarray(np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [100, 0, 0, 128]]], np.uint8))
    white, black, mixed = np.asarray(over_white(image))[0].astype(int)
    assert (white == 255).all()
    assert (black == 0).all()
    assert np.abs(mixed - (100 + 255 * 127) / 255 * np.array([1, 0, 0]) - [50, 127, 127]).max() < 52


@pytest.mark.parametrize("kind", ["openslide", "tiff"])
def test_reads_after_a_damaged_region_succeed(tmp_path, kind):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=512, height_px=256)
    with open_slide(slide, kind) as reader:
        expected = reader.region(0, x=256, y=0, width=256, height=256)
    zero_tiles(slide, [0])
    with open_slide(slide, kind) as reader:
        for _ in range(2):
            with pytest.raises(DamagedRegion, match="level 0"):
                reader.region(0, x=0, y=0, width=256, height=256)
            assert (reader.region(0, x=256, y=0, width=256, height=256) == expected).all()


def test_an_unusable_handle_is_replaced(tmp_path):
    slide = zero_tiles(drawn_slide(tmp_path / "slide.tiff", width_px=512, height_px=256), [0])
    with OpenSlideReader(slide) as reader:
        expected = reader.region(0, x=256, y=0, width=256, height=256)
        with pytest.raises(OpenSlideError):
            reader._handle().read_region((0, 0), 0, (9, 9))
        with pytest.raises(OpenSlideError):  # OpenSlide repeats the error for undamaged pixels, too
            reader._handle().read_region((256, 0), 0, (9, 9))
        assert (reader.region(0, x=256, y=0, width=256, height=256) == expected).all()


def test_each_thread_has_its_own_handle_and_all_are_closed(tmp_path):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=512, height_px=256)
    with OpenSlideReader(slide) as reader, ThreadPoolExecutor(3) as pool:
        together = Barrier(3)

        def read(_):
            together.wait()
            return reader.region(0, x=0, y=0, width=20, height=20), reader._handle()

        regions, handles = zip(*pool.map(read, range(3)))
        assert len(set(handles)) == 3
        assert all((region == regions[0]).all() for region in regions)
    for handle in handles:
        with pytest.raises(ArgumentError):  # raised by ctypes for a closed handle
            handle.read_region((0, 0), 0, (1, 1))


def test_a_fractional_rectangle_is_resampled_to_its_exact_area(tmp_path):
    slide = drawn_slide(tmp_path / "slide.tiff", "glandular", 256, 256)
    with open_slide(slide) as reader:
        region = reader.region(0, x=20, y=30, width=151, height=100)
    pixels = resample(region, (0, 0, 150.4, 99.6), (75, 50))
    expected = Image.fromarray(region).resize((75, 50), Image.Resampling.LANCZOS, box=(0, 0, 150.4, 99.6))
    assert np.abs(pixels.astype(int) - np.asarray(expected)).mean() < 1


def test_bounds_default_to_the_whole_slide(tmp_path):
    with OpenSlideReader(drawn_slide(tmp_path / "slide.tiff", width_px=300, height_px=200)) as reader:
        assert reader.bounds_level0 == (0, 0, 300, 200)


def test_bounds_are_clipped_to_the_slide(tmp_path):
    with OpenSlideReader(drawn_slide(tmp_path / "slide.tiff", width_px=300, height_px=200)) as reader:
        names = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
        reader.properties |= {f"openslide.{name}": value for name, value in zip(names, ("10", "20", "100", "900"))}
        assert reader.bounds_level0 == (10, 20, 110, 200)


def test_an_io_error_is_not_reported_as_a_damaged_slide():
    memory = Path("/proc/self/mem")
    if not memory.exists():
        pytest.skip("needs a file whose reading fails with an I/O error")
    with pytest.raises(OSError, match="Input/output error"):
        open_slide(memory)


def test_missing_and_invalid_files_raise_different_errors(tmp_path):
    (tmp_path / "text.svs").write_text("no slide")
    with pytest.raises(Unusable, match="export it"):
        open_slide(tmp_path / "text.svs")
    with pytest.raises(UserError, match="correct its path"):
        open_slide(tmp_path / "absent.svs")
    with pytest.raises(Unusable, match="name the slide's file"):
        open_slide(tmp_path)


def test_results_of_several_threads_are_in_order():
    assert list(in_order(lambda number: number**2, range(100), 7)) == [number**2 for number in range(100)]
