"""A small picture of a whole slide, on which tissue is found."""

import math
from dataclasses import dataclass

import numpy as np

from gensis.slides.outcomes import Unusable
from gensis.slides.reader import DamagedRegion, Reader

_READ_PX = 2048  # side of a block, in px of the level read, so that slides without a pyramid fit in memory
_GREY = 128


@dataclass(frozen=True)
class Thumbnail:
    """A slide at low resolution."""

    image: np.ndarray
    """uint8 (H, W, 3). Grey where the slide could not be read."""
    unread: np.ndarray
    """bool (H, W)."""
    downsample: float
    """Level-0 px per px."""


def read_thumbnail(reader: Reader, downsample: float) -> Thumbnail:
    """Read all of a slide at `downsample` level-0 px per px, block by block.

    Raises:
        Unusable: `unreadable`, where not one block can be read.
    """
    downsample = max(downsample, 1.0)
    level = max(n for n, of_level in enumerate(reader.downsamples) if of_level <= downsample)
    scale = downsample / reader.downsamples[level]
    block_px = max(1, int(_READ_PX / scale))
    shape = math.ceil(reader.height_level0 / downsample), math.ceil(reader.width_level0 / downsample)
    image = np.full((*shape, 3), _GREY, np.uint8)
    unread = np.ones(shape, bool)
    for top in range(0, shape[0], block_px):
        for left in range(0, shape[1], block_px):
            height, width = min(block_px, shape[0] - top), min(block_px, shape[1] - left)
            here = np.s_[top : top + height, left : left + width]
            x_level0, y_level0 = round(left * downsample), round(top * downsample)
            try:
                image[here] = reader.read(level, x_level0, y_level0, width * scale, height * scale, (width, height))
                unread[here] = False
            except DamagedRegion as error:
                damage = error
    if unread.all():
        raise Unusable("unreadable", f"no pixel of it can be read ({damage}): copy or export it again")
    return Thumbnail(image, unread, downsample)
