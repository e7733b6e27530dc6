"""Natural images into a store: checked, resized where wished, the rest of the bytes kept as they are."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from gensis.errors import UserError
from gensis.images.codec import PNG, decode, encode_jpeg, encode_png
from gensis.images.sources import Source
from gensis.settings.datasets import NaturalDataset

log = logging.getLogger(__name__)
LARGEST_LOSSLESS_PX = 64
JPEG_QUALITY = 95


@dataclass
class Imported:
    """What an import has seen so far."""

    keys: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    shape: tuple[int, ...] | None = None

    def images(self, source: Source, positions: np.ndarray, dataset: NaturalDataset) -> Iterator[bytes]:
        """Encoded images of ``source`` at ``positions``; those that do not decode are noted in `failed`.

        Raises:
            UserError: images of different sizes where no `image_px` is set.
        """
        for position in positions:
            encoded = source.read(int(position))
            key = source.keys[position]
            try:
                image = decode(encoded)
            except ValueError as error:
                log.warning("%s: %s", key, error)
                self.failed.append(key)
                continue
            if dataset.image_px is not None:
                encoded = _resized(image, dataset.image_px, encoded)
            elif self.shape not in (None, image.shape):
                raise UserError(
                    f"{key} is {image.shape[1]}x{image.shape[0]} px, others are {self.shape[1]}x{self.shape[0]}: "
                    "set the data set's image_px, so that all are resized"
                )
            self.shape = image.shape
            self.keys.append(key)
            yield encoded


def _resized(image: np.ndarray, image_px: int, encoded: bytes) -> bytes:
    """The image with its shorter side resized to ``image_px`` and its central square cut out, encoded."""
    height, width = image.shape[:2]
    if height == width == image_px:
        return encoded
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    square = Image.fromarray(image).resize(
        (image_px, image_px), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
    )
    if encoded.startswith(PNG) or image_px <= LARGEST_LOSSLESS_PX:
        return encode_png(np.asarray(square))
    return encode_jpeg(np.asarray(square), JPEG_QUALITY)
