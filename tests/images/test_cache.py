import numpy as np
import pytest
import torch

from gensis.images.cache import ImageCache
from gensis.images.codec import encode_png
from gensis.images.index import read_index, write_index
from gensis.images.reading import HeldImages, StreamedImages
from gensis.images.store import write_store

IMAGE_BYTES = 16 * 16 * 3


@pytest.fixture
def index(tmp_path):
    """An index of 10 images of 16 px."""
    pictures = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), np.uint8)
    count, content = write_store(tmp_path / "train-0000.h5", map(encode_png, pictures), {})
    write_index(tmp_path / "train.tsv", [("train-0000", count, content)])
    return read_index(tmp_path / "train.tsv")


def test_images_are_held_until_all_together_reach_the_limit(index):
    cache = ImageCache(25 * IMAGE_BYTES / 1e9, torch.device("cpu"), 1)
    opened = [cache.open(index) for _ in range(3)]
    assert [type(images) for images in opened] == [HeldImages, HeldImages, StreamedImages]
    assert cache.left_gb == pytest.approx(5 * IMAGE_BYTES / 1e9)
    rows = torch.tensor([7, 0])
    assert torch.equal(opened[0].batch(rows), opened[2].batch(rows))
