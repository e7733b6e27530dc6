"""Features of real and generated images, in the spaces in which a bank is measured."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from gensis.augment.resample import resize
from gensis.evaluation.copying import PIXELS_PX, thumbnails
from gensis.images.reading import Images, read_ahead
from gensis.progress import progress
from gensis.ranges import to_bytes, to_signed

# Images in a batch. Views are drawn batch by batch, so results would depend on runtime.inference_batch_size.
BATCH = 64

Embed = Callable[[torch.Tensor], torch.Tensor]
"""Encoder: uint8 (n, 3, H, W) -> float32 (n, D)."""


@dataclass(frozen=True)
class ImageFeatures:
    """Features of n images in three spaces, and their thumbnails."""

    encoder: np.ndarray
    """float32 (n, D): embeddings of the encoder that the diffusion model is conditioned on."""
    random: np.ndarray
    """float32 (n, E): embeddings of an untrained network."""
    pixels: np.ndarray
    """float32 (n, 768): pixels in [-1, 1] at 16 px, of the image in the size that the diffusion model generates. All
    images have lost the same detail, so that their distributions can be compared."""
    thumbnails: np.ndarray
    """float32 (n, 768): see `gensis.evaluation.copying.thumbnails`."""

    def __len__(self) -> int:
        return len(self.pixels)

    def spaces(self) -> dict[str, np.ndarray]:
        """Features by name of the space. Embeddings have a mean square of 1, so that their kernel is (cosine + 1)^3."""
        embeddings = {"encoder": self.encoder, "random": self.random}
        return {name: _unit(values) * values.shape[1] ** 0.5 for name, values in embeddings.items()} | {
            "pixels": self.pixels
        }


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True).clip(min=1e-12)


class FeatureSpaces:
    """Computes `ImageFeatures`."""

    def __init__(self, encoder: Embed, untrained: Embed, image_px: int):
        """Spaces of an encoder, an untrained encoder, and pixels of images of ``image_px`` on a side."""
        self._encoder, self._untrained, self._image_px = encoder, untrained, image_px

    def of_rows(
        self, name: str, images: Images, rows: np.ndarray, change: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> ImageFeatures:
        """Features of images by their rows, after an optional ``change``; ``name`` is for the log."""
        batches = read_ahead(images, torch.from_numpy(rows).split(BATCH))
        return self.of_batches(name, map(change, batches) if change else batches, len(rows))

    def of_batches(self, name: str, batches: Iterable[torch.Tensor], count: int) -> ImageFeatures:
        """Features of ``count`` images, given in batches of uint8 (n, 3, H, W); ``name`` is for the log."""
        parts = [self._of_batch(batch) for batch in progress(batches, count, name, size=len)]
        return ImageFeatures(*map(np.concatenate, zip(*parts)))

    def _of_batch(self, images: torch.Tensor) -> tuple[np.ndarray, ...]:
        as_generated = to_bytes(resize(images, self._image_px))
        pixels = to_signed(resize(as_generated, PIXELS_PX)).flatten(1)
        spaces = self._encoder(images), self._untrained(images), pixels
        return *(values.cpu().numpy() for values in spaces), thumbnails(images)
