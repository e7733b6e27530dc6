"""Natural images into a store: checked, resized where wished, the rest of the bytes kept as they are."""

import logging
from collections.abc import Iterator
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
    """What an import has seen so far."""

    keys: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Keys, each with the reason in brackets."""
    several_frames: int = 0
    """Animations and TIFFs of several pages, of which the first is taken."""
    shape: tuple[int, ...] | None = None

    def images(self, source: Source, positions: np.ndarray, dataset: NaturalDataset) -> Iterator[bytes]:
        """Images of ``source`` at ``positions``, as JPEG or PNG; those that cannot be read are noted in `failed`.

        Raises:
            UserError: images of different sizes where no `image_px` is set.
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
                    "set the data set's image_px, so that all are resized"
                )
            self.shape = shape
            self.keys.append(key)
            self.several_frames += picture.frames > 1
            yield _stored(picture, dataset.image_px, encoded)


def _stored(picture: Picture, image_px: int | None, encoded: bytes) -> bytes:
    """The file's own bytes where training reads them; else losslessly, or resized, its pixels.

    Resized are the shorter side to ``image_px``, of which the central square is cut out.
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
