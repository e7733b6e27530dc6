"""The thumbnail of a slide, on which tissue is detected."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from gensis.slides.outcomes import COPY_AGAIN, Unusable
from gensis.slides.reader import DamagedRegion, Reader, resample
from gensis.slides.units import Downsample

_BLOCK_PX = 2048  # side of the blocks that are read, in px of the level: they fit in memory even if there is no pyramid
_MOST_FAILURES = 2000  # then failed blocks are not divided further: it would take hours if nothing can be read
_GREY = 128
_TOLERANCE = 1.05  # a slightly coarser level is accepted, since halving a slide rarely gives whole pixels
_LARGEST_PX = 100_000_000  # 80 x 80 mm at 8 um/px
_LONGEST_PX = 65_500  # limit of JPEG
_ALIGNMENT_PX = 8  # of rectangles that codecs decode at reduced size


@dataclass(frozen=True)
class Thumbnail:
    """A slide at low resolution."""

    image: np.ndarray
    """uint8 (H, W, 3), RGB; grey where the slide could not be read."""
    unread: np.ndarray
    """bool (H, W), pixels that could not be read."""
    downsample: Downsample
    """Level-0 px per px."""


def read_thumbnail(reader: Reader, downsample: Downsample) -> Thumbnail:
    """Read all of a slide at `downsample` level-0 px per px, block by block, from the next finer level of its pyramid.

    Raises:
        Unusable: `unreadable`, if the thumbnail would be too large, or no pixel can be read.
    """
    downsample = Downsample(max(downsample, 1.0))
    width, height = (math.ceil(side / downsample) for side in reader.size_level0)
    if width * height > _LARGEST_PX or max(width, height) > _LONGEST_PX:
        raise Unusable(
            "unreadable",
            f"its thumbnail would have {width} x {height} px: correct the slide's mpp, or raise tissue.mpp",
        )
    image = np.full((height, width, 3), _GREY, np.uint8)
    thumbnail = Thumbnail(image, np.ones((height, width), bool), downsample)
    level = max(n for n, of_level in enumerate(reader.downsamples) if of_level <= downsample * _TOLERANCE)
    filling = _Filling(thumbnail, reader)
    columns, rows = _block_size(reader, level, downsample)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            filling.fill(level, (left, top, min(columns, width - left), min(rows, height - top)))
    if thumbnail.unread.all():
        raise Unusable("unreadable", f"no pixel of the slide can be read ({_first_error(reader)}): {COPY_AGAIN}")
    if thumbnail.unread.any():
        _fill_edges(thumbnail)
    return thumbnail


def _block_size(reader: Reader, level: int, downsample: Downsample) -> tuple[int, int]:
    """Width and height of the blocks, in px of the thumbnail: at least as wide as the file's tiles.

    The strips of a file without tiles are as wide as the slide. Blocks that cross them would decode each strip once for
    every block, where the strips of a row of blocks do not fit in the reader's cache.
    """
    width = max(_BLOCK_PX, reader.tile_sizes[level][0])
    scale = reader.downsamples[level] / downsample
    return max(1, int(width * scale)), max(1, int(_BLOCK_PX**2 / width * scale))


class _Filling:
    """Fills a thumbnail block by block."""

    def __init__(self, thumbnail: Thumbnail, reader: Reader):
        self._thumbnail, self._reader = thumbnail, reader
        self._failures = 0

    def fill(self, level: int, block: tuple[int, int, int, int]) -> None:
        """Read one block (left, top, width, height in px of the thumbnail) from a level.

        A block that cannot be read is divided along the file's tiles, so that only the damaged tiles are lost; these
        are then read from the finer levels.
        """
        left, top, width, height = block
        here = np.s_[top : top + height, left : left + width]
        scale = self._thumbnail.downsample / self._reader.downsamples[level]
        rectangle = (left * scale, top * scale, width * scale, height * scale)
        try:
            pixels = _read(self._reader, level, rectangle, (width, height))
            self._thumbnail.image[here], self._thumbnail.unread[here] = pixels, False
        except DamagedRegion:
            self._failures += 1
            if self._failures > _MOST_FAILURES:
                return
            tile_width, tile_height = self._reader.tile_sizes[level]
            columns = _divided(left, width, tile_width / scale)
            rows = _divided(top, height, tile_height / scale)
            if len(columns) + len(rows) > 2:
                for x, part_width in columns:
                    for y, part_height in rows:
                        self.fill(level, (x, y, part_width, part_height))
            elif level > 0:
                self.fill(level - 1, block)


def _divided(start: int, length: int, tile: float) -> list[tuple[int, int]]:
    """Divide an interval of pixels in two at a tile edge: start and length of the parts, or of the undivided interval.

    Args:
        start: of the interval in px.
        length: in px.
        tile: length of a tile in px, possibly fractional.
    """
    first, last = math.floor(start / tile), math.ceil((start + length) / tile)
    edges = [at for n in range(first, last + 1) for at in (math.floor(n * tile), math.ceil(n * tile))]
    inner = [at for at in edges if start < at < start + length]
    if not inner:
        return [(start, length)]
    middle = min(inner, key=lambda at: abs(at - start - length / 2))
    return [(start, middle - start), (middle, start + length - middle)]


def _fill_edges(thumbnail: Thumbnail) -> None:
    """Give unread pixels the colour of adjacent pixels that were read, in place: they are damaged only in part.

    Whether the tiles there can be read is found out when they are read.
    """
    read = np.pad(~thumbnail.unread, 1)
    rows, columns = np.nonzero(thumbnail.unread & ndimage.maximum_filter(read, 3)[1:-1, 1:-1])
    for dy, dx in product((-1, 0, 1), repeat=2):
        has_neighbour = read[rows + dy + 1, columns + dx + 1]
        y, x = rows[has_neighbour], columns[has_neighbour]
        thumbnail.image[y, x], thumbnail.unread[y, x] = thumbnail.image[y + dy, x + dx], False


def _read(
    reader: Reader, level: int, rectangle: tuple[float, float, float, float], size_px: tuple[int, int]
) -> np.ndarray:
    """Read left, top, width and height in px of a level, resampled to `size_px`."""
    left, top, width, height = rectangle
    x, y = (int(at) // _ALIGNMENT_PX * _ALIGNMENT_PX for at in (left, top))
    right, bottom = left + width - x, top + height - y
    scale = min(width / size_px[0], height / size_px[1])
    pixels, factor = reader.draft(level, x=x, y=y, width=math.ceil(right), height=math.ceil(bottom), scale=scale)
    box = tuple(at / factor for at in (left - x, top - y, right, bottom))
    return resample(pixels, box, size_px)


def _first_error(reader: Reader) -> str:
    try:
        reader.region(0, x=0, y=0, width=1, height=1)
    except DamagedRegion as error:
        return str(error)
    return "at low resolution"
