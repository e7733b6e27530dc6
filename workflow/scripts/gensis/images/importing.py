"""Import of natural images into a store: images are checked and, if `image_px` is set, resized."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from gensis.errors import UserError
from gensis.images.codec import PNG, encode_jpeg, encode_png
from gensis.images.pictures import Picture, read_picture
from gensis.images.sources import Source
from gensis.settings.datasets import NaturalDataset

log = logging.getLogger(__name__)
LARGEST_LOSSLESS_PX = 64
JPEG_QUALITY = 95


@dataclass
class Imported:
    """Progress of an import."""

    keys: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Keys of images that could not be read, each with the reason in brackets."""
    several_frames: int = 0
    """Number of animations and multi-page TIFFs, of which only the first frame or page is used."""
    shape: tuple[int, ...] | None = None

    def images(self, source: Source, positions: Iterable[int], dataset: NaturalDataset) -> Iterator[bytes]:
        """Images of ``source`` at ``positions``, as JPEG or PNG; images that cannot be read are added to `failed`.

        Raises:
            UserError: images differ in size and `image_px` is not set.
        """
        for position in positions:
            key = source.keys[position]
            try:
                encoded = source.read(int(position))
                picture = read_picture(encoded)
            except ValueError as error:
                self.failed.append(f"{key} ({' '.join(str(error).split())})")
                log.warning("%s", self.failed[-1])
                continue
            shape = picture.pixels.shape
            if dataset.image_px is None and self.shape not in (None, shape):
                raise UserError(
                    f"{key} is {shape[1]}x{shape[0]} px, others are {self.shape[1]}x{self.shape[0]}: "
                    "set the data set's image_px to resize all images"
                )
            self.shape = shape
            self.keys.append(key)
            self.several_frames += picture.frames > 1
            yield _stored(picture, dataset.image_px, encoded)


def _stored(picture: Picture, image_px: int | None, encoded: bytes) -> bytes:
    """Bytes to store: those of the file if training can decode them, otherwise the pixels, encoded again.

    If ``image_px`` is set, the shorter side is resized to it and the central square is cropped.
    """
    height, width = picture.pixels.shape[:2]
    if image_px is None or height == width == image_px:
        return encoded if picture.as_trained else encode_png(picture.pixels)
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    square = Image.fromarray(picture.pixels).resize(
        (image_px, image_px), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
    )
    if encoded.startswith(PNG) or image_px <= LARGEST_LOSSLESS_PX:
        return encode_png(np.asarray(square))
    return encode_jpeg(np.asarray(square), JPEG_QUALITY)
