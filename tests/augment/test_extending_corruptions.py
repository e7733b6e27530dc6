"""A corruption is added with one file and one line of a registry."""

import h5py
import numpy as np
import pytest
from tests.diffusion.tiny import smooth_images
from tests.extended import extended, run

from gensis.images.codec import encode_png
from gensis.images.store import write_store

LINE = '"invert": "gensis.augment.corruptions.invert:INVERT",'
TEXT = '''
from dataclasses import dataclass

from gensis.augment.corruptions.corruption import Severities, five


@dataclass(frozen=True)
class Invert:
    """Mix the image with its negative."""

    share: float

    def __call__(self, images, seeds):
        return (1 - self.share) * images + self.share * (1 - images)


INVERT = Severities(
    large=five(Invert, share=(0, 0, 0, 0, 0)),
    small=five(Invert, share=(0.2, 0.4, 0.6, 0.8, 1)),
)
'''


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    return extended(tmp_path_factory.mktemp("own"), "CORRUPTIONS", LINE, "gensis/augment/corruptions/invert.py", TEXT)


def test_settings_accept_the_new_corruption_and_no_other(scripts):
    program = "import gensis.settings.evaluation as e; print(e.Evaluation(corruptions=[{!r}]).corruption_names)"
    assert "'invert-5'" in run(scripts, "-c", program.format("invert"))
    assert "Input should be 'invert', 'noise'" in run(scripts, "-c", program.format("negative"), status=1)


def test_images_are_embedded_with_the_new_corruption(tmp_path, scripts):
    images = smooth_images(3, 16)
    keys = np.array(["0", "1", "2"], object)
    write_store(tmp_path / "test-0000.h5", [encode_png(image) for image in images], {}, columns=lambda: {"key": keys})
    run(
        scripts,
        *("embed_images.py", "--pixels", "--config", '{"normalize": false}', "--corruption", "invert-4"),
        *("--images", tmp_path, "--units", "test-0000", "--output", tmp_path / "part.h5"),
    )
    with h5py.File(tmp_path / "part.h5") as file:
        pixels = images.transpose(0, 3, 1, 2).reshape(3, -1) / 255 - 0.5
        np.testing.assert_allclose(file["features"][:], -0.6 * pixels, atol=0.6 / 255)
