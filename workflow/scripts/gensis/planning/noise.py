"""Random images and embeddings in place of those that a study has not made yet; speed does not depend on values."""

import numpy as np
import torch

from gensis.images.codec import encode_png
from gensis.ranges import to_nchw

DISTINCT = 64
"""Images and embeddings that differ; later rows repeat them."""


class NoiseImages:
    """Random images on a device. An `Images` of any length."""

    index = None

    def __init__(self, images: int, image_px: int, device: torch.device):
        """``images`` images of ``image_px`` on a side, which take the memory of `DISTINCT`."""
        self.shape = (3, image_px, image_px)
        self._images = images
        pixels = torch.from_numpy(_pixels(DISTINCT, image_px)).to(device)
        self._pixels = pixels

    def __len__(self) -> int:
        return self._images

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Images."""

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Images."""
        return to_nchw(self._pixels[(rows % DISTINCT).to(self._pixels.device)])


class NoiseFeatures:
    """Random embeddings on a device, like `HeldFeatures`."""

    def __init__(self, images: int, width: int, device: torch.device):
        """Embeddings of ``images`` images with ``width`` values."""
        self.shape = (images, width)
        self._values = torch.randn(DISTINCT, width, generator=torch.Generator().manual_seed(0)).to(device)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: torch.Tensor | np.ndarray) -> torch.Tensor:
        """float32 (n, D) for int64 (n,) rows."""
        return self._values[(torch.as_tensor(rows) % DISTINCT).to(self._values.device)]

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Features."""


class NoiseSource:
    """Random PNGs as a source of natural images (`gensis.images.sources.Source`)."""

    labels = groups = None

    def __init__(self, images: int, image_px: int):
        """``images`` files of ``image_px`` on a side."""
        self.keys = [str(number) for number in range(images)]
        self._files = [encode_png(image) for image in _pixels(min(images, DISTINCT), image_px)]

    def read(self, position: int) -> bytes:
        """See Source."""
        return self._files[position % len(self._files)]


def _pixels(count: int, image_px: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, image_px, image_px, 3), np.uint8)
