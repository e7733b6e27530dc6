"""Slides in TIFF files, read tile by tile: several times faster than OpenSlide, and with more codecs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from gensis.slides.once import Once
from gensis.slides.outcomes import Unusable
from gensis.slides.reader import (
    PLAIN_VENDORS,
    TIFF_HEADS,
    DamagedRegion,
    Reader,
    SlideFile,
    Unsupported,
    mean_downsamples,
    only_largest,
    paste,
)
from gensis.slides.tiff_level import TiffLevel
from gensis.slides.tiff_pages import find_pages, images_left_out, read_properties

if TYPE_CHECKING:
    from gensis.slides.openslide_reader import OpenSlideReader

_DRAFT_TOLERANCE = 1.05  # levels are rarely exact halves
_CACHE_BYTES = 1 << 28  # of decoded tiles, for all threads: two rows of tiles across a large slide


class TiffReader(Reader):
    """A TIFF whose tiles (or strips) are located by tifffile and decoded by imagecodecs, once for all threads."""

    kind = "tiff"

    def __init__(self, path: Path, slide: "OpenSlideReader | None" = None):
        """Open a TIFF.

        Args:
            path: the file.
            slide: the same file, opened with OpenSlide, whose levels and metadata are then used.

        Raises:
            Unsupported: tifffile does not read it, or not as OpenSlide does.
            Unusable: `unsupported`: it is not a single colour image.
        """
        self.path = Path(path)
        try:
            self._file = tifffile.TiffFile(self.path)
            pages = find_pages(self._file, slide)
            self._levels = [TiffLevel(page) for page in pages]
            is_the_same = slide is not None and self._levels[0].size == tuple(slide.size_level0)
            self.properties = slide.properties if is_the_same else read_properties(self._file, pages[0])
            self.remark = only_largest(images_left_out(self._file, pages[0]))
        except (Unsupported, Unusable):
            self.close()
            raise
        except Exception as error:  # a damaged header may raise anything
            self.close()
            raise Unsupported(f"tifffile cannot read it ({type(error).__name__}: {error})") from error
        self.level_sizes = tuple(level.size for level in self._levels)
        self.tile_sizes = tuple(level.tile_size for level in self._levels)
        self.downsamples = mean_downsamples(self.level_sizes)
        self._descriptor = self._file.filehandle.fileno()
        self._size_bytes = self._file.filehandle.size
        self._decoded = Once(self._decode, _CACHE_BYTES)

    @classmethod
    def recognises(cls, file: SlideFile) -> bool:
        """TIFFs that OpenSlide does not know."""
        return file.vendor is None and file.head.startswith(TIFF_HEADS)

    @classmethod
    def open(cls, file: SlideFile) -> "TiffReader":
        """See Reader."""
        if file.vendor not in (None, *PLAIN_VENDORS):
            reason = f"the reader tiff does not support this vendor's files ({file.vendor}): set reader to auto"
            raise Unsupported(reason)
        return cls(file.path)

    def region(self, level: int, *, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See Reader."""
        result = np.full((height, width, 3), 255, np.uint8)
        tile_width, tile_height = self._levels[level].tile_size
        for row, column in self._levels[level].tiles(x, y, width, height):
            pixels = self._decoded(level, row, column)
            if pixels is not None:
                paste(result, pixels, column * tile_width - x, row * tile_height - y)
        return result

    def draft(self, level: int, *, x: int, y: int, width: int, height: int, scale: float) -> tuple[np.ndarray, int]:
        """See Reader. JPEG and JPEG 2000 can be decoded at reduced size."""
        ours = self._levels[level]
        tile_width, tile_height = ours.tile_size
        fits = [n for n in (8, 4, 2) if not (x % n or y % n or tile_width % n or tile_height % n)]
        factors = [n for n in fits if n <= scale * _DRAFT_TOLERANCE]
        if not factors or not ours.holds_smaller_versions:
            return super().draft(level, x=x, y=y, width=width, height=height, scale=scale)
        factor = factors[0]
        result = np.full((-(-height // factor), -(-width // factor), 3), 255, np.uint8)
        for row, column in ours.tiles(x, y, width, height):
            pixels = self._decode(level, row, column, factor)
            if pixels is not None:
                paste(result, pixels, (column * tile_width - x) // factor, (row * tile_height - y) // factor)
        return result, factor

    def chroma(self, level: int) -> str:
        """See Reader."""
        return self._levels[level].chroma

    def has_jpeg_tiles(self, level: int, size_px: int) -> bool:
        """See Reader."""
        ours = self._levels[level]
        return ours.is_colour_jpeg and ours.tile_size == (size_px, size_px) and all(ours.page.databytecounts)

    def jpeg_tile(self, level: int, x: int, y: int) -> bytes:
        """See Reader."""
        ours = self._levels[level]
        tile_width, tile_height = ours.tile_size
        return ours.jpeg(self._stored(ours, ours.index(y // tile_height, x // tile_width)))

    def _decode(self, level: int, row: int, column: int, reduction: int = 1) -> np.ndarray | None:
        """A tile as uint8 (H, W, 3), smaller by `reduction`; None if the file omits it."""
        ours = self._levels[level]
        index = ours.index(row, column)
        stored = self._stored(ours, index)
        if not stored:
            return None
        try:
            return ours.decode(stored, index, reduction)
        except Exception as error:  # codecs raise many kinds
            where = f"tile {index} of level {level} ({column}, {row})"
            raise DamagedRegion(f"{where} cannot be decoded: {error}") from error

    def _stored(self, level: TiffLevel, index: int) -> bytes:
        offset, count = level.page.dataoffsets[index], level.page.databytecounts[index]
        if min(offset, count) < 0 or offset + count > self._size_bytes or count > level.largest_stored_bytes:
            raise DamagedRegion(f"tile {index} has an invalid position: {count} bytes from byte {offset}")
        stored = os.pread(self._descriptor, count, offset)  # thread-safe: no shared file position
        if len(stored) < count:
            raise DamagedRegion(f"tile {index} ends after {len(stored)} of {count} bytes: the file is truncated")
        return stored

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):
            self._file.close()
