"""Slides that OpenSlide reads."""

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from openslide import OpenSlide, OpenSlideCache, OpenSlideError

from gensis.slides.reader import PLAIN_VENDORS, DamagedRegion, Reader, SlideFile, Unsupported, over_white
from gensis.slides.tiff_pages import check_claims
from gensis.slides.units import Downsample

_USUAL_TILE_PX = 256
_LARGEST_TILE_PX = 1 << 27
_CACHE_BYTES = 1 << 28  # of decoded tiles, for all threads: two rows of tiles across a large slide


class OpenSlideReader(Reader):
    """A slide read with OpenSlide, with a handle per thread, since a handle is unusable after its first error."""

    kind = "openslide"
    has_gaps = True

    def __init__(self, path: Path):
        """Open a slide.

        Raises:
            OpenSlideError: OpenSlide cannot open it.
            Unsupported: its tiles are so large that OpenSlide would abort the process.
        """
        self.path = Path(path)
        self._cache = OpenSlideCache(_CACHE_BYTES)
        self._of_thread = threading.local()
        self._handles: list[OpenSlide] = []
        handle = self._handle()
        stated = {name: handle.properties.get(name) for name in handle.properties}
        self.properties = {name: value for name, value in stated.items() if value is not None}  # a name may be garbled
        self.tile_sizes = tuple(_tile_size(self.properties, level) for level in range(handle.level_count))
        self.vendor = self.properties.get("openslide.vendor", "")
        self.level_sizes = handle.level_dimensions
        self.downsamples = tuple(map(Downsample, handle.level_downsamples))

    @classmethod
    def recognises(cls, file: SlideFile) -> bool:
        """Every file: for a format that OpenSlide does not know, its error is the reason."""
        return True

    @classmethod
    def open(cls, file: SlideFile) -> "OpenSlideReader":
        """See Reader; also raises OpenSlideError."""
        slide = cls(file.path)
        slide.check()
        return slide

    def check(self) -> None:
        """Refuse a slide whose header would make OpenSlide use unlimited memory or time.

        Raises:
            Unsupported: the header is inconsistent.
        """
        check_claims(self.path, self.size_level0 if self.vendor in PLAIN_VENDORS else None)

    def region(self, level: int, *, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See Reader. After an error, the read is repeated once with a new handle.

        OpenSlide takes whole level-0 px. Of a level whose downsample is not a whole number it interpolates between
        pixels, by up to half a level-0 px. The shift changes by the fraction of the downsample (0.0001) with each px of
        the level, so the nearest place without it may be thousands of px away.
        """
        location = tuple(round(at * self.downsamples[level]) for at in (x, y))
        for last_try in (False, True):
            try:
                return np.asarray(over_white(self._handle().read_region(location, level, (width, height))))
            except OpenSlideError as error:
                self._drop_handle()  # it would repeat its first error forever
                if last_try:
                    raise DamagedRegion(f"level {level} at {location}: {error}") from error
        raise AssertionError("unreachable")

    def _handle(self) -> OpenSlide:
        if not hasattr(self._of_thread, "handle"):
            self._of_thread.handle = OpenSlide(self.path)
            self._of_thread.handle.set_cache(self._cache)
            self._handles.append(self._of_thread.handle)
        return self._of_thread.handle

    def _drop_handle(self) -> None:
        if hasattr(self._of_thread, "handle"):
            self._handles.remove(self._of_thread.handle)
            self._of_thread.handle.close()
            del self._of_thread.handle

    def close(self) -> None:
        """Close all handles."""
        for handle in self._handles:
            handle.close()


def _tile_size(properties: Mapping[str, str], level: int) -> tuple[int, int]:
    """Width and height of a level's tiles; very large ones are refused, since OpenSlide would abort the process."""
    tile = f"openslide.level[{level}].tile"
    width, height = (int(properties.get(f"{tile}-{side}", _USUAL_TILE_PX)) for side in ("width", "height"))
    if width * height > _LARGEST_TILE_PX:
        raise Unsupported(f"its tiles of {width} x {height} px do not fit in memory")
    return width, height
