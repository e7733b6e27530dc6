"""A small picture of a whole slide, on which tissue is found."""

import math
from dataclasses import dataclass

import numpy as np

from gensis.slides.outcomes import COPY_AGAIN, Unusable
from gensis.slides.reader import DamagedRegion, Reader, resample

# Side of the blocks that are read, in px of the level: large ones fit in memory where a slide has no pyramid, and where
# one cannot be read it is divided down to small ones, to lose no more than the damage.
_LARGE_BLOCK_PX, _SMALL_BLOCK_PX = 2048, 128
_GREY = 128
_TOLERANCE = 1.05  # a level that is hardly coarser is taken, since halving a slide rarely gives whole pixels
_LARGEST_PX = 100_000_000  # 80 x 80 mm at 8 um/px
_ALIGNMENT_PX = 8  # of what codecs decode at reduced size


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
    width, height = (math.ceil(side / downsample) for side in reader.size_level0)
    if width * height > _LARGEST_PX:
        raise Unusable(
            "unreadable",
            f"its thumbnail would have {width} x {height} px: correct the slide's mpp, or raise tissue.mpp",
        )
    image = np.full((height, width, 3), _GREY, np.uint8)
    thumbnail = Thumbnail(image, np.ones((height, width), bool), downsample)
    level = max(n for n, of_level in enumerate(reader.downsamples) if of_level <= downsample * _TOLERANCE)
    block_px = max(1, int(_LARGE_BLOCK_PX * reader.downsamples[level] / downsample))
    for top in range(0, height, block_px):
        for left in range(0, width, block_px):
            _fill(thumbnail, reader, level, (left, top, min(block_px, width - left), min(block_px, height - top)))
    if thumbnail.unread.all():
        raise Unusable("unreadable", f"no pixel of it can be read ({_first_error(reader)}): {COPY_AGAIN}")
    return thumbnail


def _fill(thumbnail: Thumbnail, reader: Reader, level: int, block: tuple[int, int, int, int]) -> None:
    """Read one block (left, top, width, height) into the thumbnail, its quarters where the whole cannot be read."""
    left, top, width, height = block
    here = np.s_[top : top + height, left : left + width]
    scale = thumbnail.downsample / reader.downsamples[level]
    try:
        pixels = _read(reader, level, (left * scale, top * scale, width * scale, height * scale), (width, height))
        thumbnail.image[here], thumbnail.unread[here] = pixels, False
    except DamagedRegion:
        if min(width, height) < 2 or max(width, height) * scale <= _SMALL_BLOCK_PX:
            return
        for x, part_width in ((left, width // 2), (left + width // 2, width - width // 2)):
            for y, part_height in ((top, height // 2), (top + height // 2, height - height // 2)):
                _fill(thumbnail, reader, level, (x, y, part_width, part_height))


def _read(
    reader: Reader, level: int, rectangle: tuple[float, float, float, float], size_px: tuple[int, int]
) -> np.ndarray:
    """Read left, top, width and height in px of a level, resampled to `size_px`."""
    left, top, width, height = rectangle
    x, y = (int(at) // _ALIGNMENT_PX * _ALIGNMENT_PX for at in (left, top))
    right, bottom = left + width - x, top + height - y
    scale = min(width / size_px[0], height / size_px[1])
    pixels, factor = reader.draft(level, x, y, math.ceil(right), math.ceil(bottom), scale)
    box = tuple(at / factor for at in (left - x, top - y, right, bottom))
    return resample(pixels, box, size_px)


def _first_error(reader: Reader) -> str:
    try:
        reader.region(0, 0, 0, 1, 1)
    except DamagedRegion as error:
        return str(error)
    return "at low resolution"
