"""A small picture of a whole slide, on which tissue is found."""

import math
from dataclasses import dataclass

import numpy as np

from gensis.slides.outcomes import COPY_AGAIN, Unusable
from gensis.slides.reader import DamagedRegion, Reader

# Side of the blocks that are read, in px of the level: large ones fit in memory where a slide has no pyramid, and where
# one cannot be read it is divided down to small ones, to lose no more than the damage.
_LARGE_BLOCK_PX, _SMALL_BLOCK_PX = 2048, 128
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
    height, width = math.ceil(reader.height_level0 / downsample), math.ceil(reader.width_level0 / downsample)
    image = np.full((height, width, 3), _GREY, np.uint8)
    thumbnail = Thumbnail(image, np.ones((height, width), bool), downsample)
    level = max(n for n, of_level in enumerate(reader.downsamples) if of_level <= downsample)
    block_px = max(1, int(_LARGE_BLOCK_PX * reader.downsamples[level] / downsample))
    for top in range(0, height, block_px):
        for left in range(0, width, block_px):
            _fill(thumbnail, reader, level, (left, top, min(block_px, width - left), min(block_px, height - top)))
    if thumbnail.unread.all():
        raise Unusable("unreadable", f"no pixel of it can be read: {COPY_AGAIN}")
    return thumbnail


def _fill(thumbnail: Thumbnail, reader: Reader, level: int, block: tuple[int, int, int, int]) -> None:
    """Read one block (left, top, width, height) into the thumbnail, its quarters where the whole cannot be read."""
    left, top, width, height = block
    here = np.s_[top : top + height, left : left + width]
    scale = thumbnail.downsample / reader.downsamples[level]
    x_level0, y_level0 = round(left * thumbnail.downsample), round(top * thumbnail.downsample)
    try:
        pixels = reader.read(level, x_level0, y_level0, width * scale, height * scale, (width, height))
        thumbnail.image[here], thumbnail.unread[here] = pixels, False
    except DamagedRegion:
        if min(width, height) < 2 or max(width, height) * scale <= _SMALL_BLOCK_PX:
            return
        for x, part_width in ((left, width // 2), (left + width // 2, width - width // 2)):
            for y, part_height in ((top, height // 2), (top + height // 2, height - height // 2)):
                _fill(thumbnail, reader, level, (x, y, part_width, part_height))
