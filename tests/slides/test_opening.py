"""Which reader opens a file."""

from pkgutil import resolve_name

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.drawing import drawn_slide

from gensis.settings.registries import READERS
from gensis.slides.opening import open_slide
from gensis.slides.reader import SlideFile


@pytest.mark.parametrize("name", READERS)
def test_a_reader_has_the_name_of_its_entry(name):
    assert resolve_name(READERS[name]).kind == name


def test_a_reader_that_is_not_listed_is_refused(tmp_path):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=512, height_px=256)
    with pytest.raises(KeyError, match="dzi"):
        open_slide(slide, "dzi")


@pytest.mark.parametrize(
    ("head", "vendor", "first"),
    [
        (b"II*\0", None, "tiff"),
        (b"MM\0+", None, "tiff"),
        (b"\x89PNG", None, "picture"),
        (b"\xff\xd8\xff", None, "picture"),
        (b"\xff\xd8\xff", "mirax", "openslide"),
        (b"II*\0", "leica", "openslide"),
        (b"text", None, "openslide"),
        (b"ZISRAWFILE", "zeiss", "openslide"),
        (bytes(128) + b"DICM", "dicom", "openslide"),
    ],
)
def test_the_first_reader_that_recognises_a_file(tmp_path, head, vendor, first):
    file = SlideFile(tmp_path / "slide", head, vendor)
    assert next(name for name in READERS if resolve_name(READERS[name]).recognises(file)) == first


@pytest.mark.parametrize("name", ["slide.tif", "slide.png"])
def test_files_that_openslide_does_not_know_are_read_by_the_reader_of_their_format(tmp_path, name):
    pixels = np.full((40, 60, 3), 200, np.uint8)
    if name == "slide.tif":
        tifffile.imwrite(tmp_path / name, pixels)
    else:
        Image.fromarray(pixels).save(tmp_path / name)
    with open_slide(tmp_path / name) as reader:
        assert reader.kind == {"slide.tif": "tiff", "slide.png": "picture"}[name]
