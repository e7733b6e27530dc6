"""A slide reader is added with one file and one line of a registry."""

import json

import h5py
import numpy as np
import pytest
from tests.extended import extended, run

from gensis.images.codec import decode
from gensis.images.store import Store
from gensis.slides.drawing import draw_slide

LINE = '"npy": "gensis.slides.npy_reader:NpyReader",'
TEXT = '''
import numpy as np

from gensis.slides.reader import Reader, SlideFile, cut


class NpyReader(Reader):
    """An array of numpy, in which another library may have saved a slide."""

    kind = "npy"

    def __init__(self, path):
        self.path, self._pixels = path, np.load(path, mmap_mode="r")
        self.properties = {}
        self.level_sizes = self.tile_sizes = (self._pixels.shape[1::-1],)
        self.downsamples = (1.0,)

    @classmethod
    def recognises(cls, file: SlideFile) -> bool:
        return file.head.startswith(b"\\x93NUMPY")

    def region(self, level, *, x, y, width, height):
        return cut(self._pixels, x=x, y=y, width=width, height=height)

    def close(self):
        pass
'''


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    return extended(tmp_path_factory.mktemp("own"), "READERS", LINE, "gensis/slides/npy_reader.py", TEXT)


@pytest.mark.parametrize("reader", ["auto", "npy"])
def test_a_slide_is_tiled_with_the_new_reader(tmp_path, scripts, reader):
    picture = draw_slide("lymphoid", width_px=320, height_px=256, seed=0)
    np.save(tmp_path / "slide.npy", picture)
    config = {"reader": reader, "tile_px": 64, "mpp": 0.5, "encoding": "png", "tissue": {"method": "none"}}
    run(
        scripts,
        *("tile_slide.py", "--slide", tmp_path / "slide.npy", "--unit", "slide", "--mpp", 0.5, "--threads", 1),
        *("--config", json.dumps(config)),
        *("--store", tmp_path / "slide.h5", "--outcome", tmp_path / "slide.json"),
    )
    assert json.loads((tmp_path / "slide.json").read_text())["outcome"] == "ok"
    with h5py.File(tmp_path / "slide.h5") as file:
        corners = file["coords"][:].tolist()
        assert file.attrs["reader"] == "npy"
    assert len(corners) == 20
    with Store(tmp_path / "slide.h5") as store:
        for image, (x, y) in zip(store.read(0, len(store)), corners, strict=True):
            np.testing.assert_array_equal(decode(image), picture[y : y + 64, x : x + 64])


def test_settings_accept_the_new_reader_and_no_other(scripts):
    program = "from gensis.settings.datasets import Tiling; print(Tiling(reader={!r}).reader)"
    assert run(scripts, "-c", program.format("npy")) == "npy\n"
    assert "Input should be 'auto', 'npy', 'tiff'" in run(scripts, "-c", program.format("dzi"), status=1)
