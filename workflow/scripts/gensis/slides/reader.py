"""Pixels of a slide, read with OpenSlide."""

import math
from pathlib import Path

import numpy as np
from openslide import OpenSlide, OpenSlideError
from PIL import Image

from gensis.errors import UserError
from gensis.slides.outcomes import Unusable

_BLOCK_BYTES = 1 << 24


class DamagedRegion(Exception):
    """Pixels that cannot be read."""


class Reader:
    """One slide, opened for reading. Each thread opens its own, since an error spoils a handle for all its users."""

    def __init__(self, path: Path):
        """Open a slide.

        Raises:
            Unusable: OpenSlide does not open it, although the disk gives all its bytes.
            UserError: there is no such file.
            OSError: the disk fails, which may pass.
        """
        self.path = Path(path)
        self._slide = self._open()
        self.properties = dict(self._slide.properties)
        self.width_level0, self.height_level0 = self._slide.dimensions
        self.level_sizes: tuple[tuple[int, int], ...] = self._slide.level_dimensions
        self.downsamples: tuple[float, ...] = self._slide.level_downsamples

    @property
    def bounds_level0(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the scanned area in level-0 px: the whole slide, unless its file says less."""
        left = int(self.properties.get("openslide.bounds-x", 0))
        top = int(self.properties.get("openslide.bounds-y", 0))
        right = left + int(self.properties.get("openslide.bounds-width", self.width_level0 - left))
        bottom = top + int(self.properties.get("openslide.bounds-height", self.height_level0 - top))
        return max(left, 0), max(top, 0), min(right, self.width_level0), min(bottom, self.height_level0)

    def read(
        self, level: int, x_level0: int, y_level0: int, width: float, height: float, size_px: tuple[int, int]
    ) -> np.ndarray:
        """Read a rectangle of one level, resampled with antialiasing where it is not of the wanted size already.

        Args:
            level: level of the pyramid.
            x_level0: left edge in level-0 px.
            y_level0: top edge in level-0 px.
            width: width in px of `level`, not necessarily whole.
            height: height in px of `level`.
            size_px: wanted width and height.

        Returns:
            uint8 (size_px[1], size_px[0], 3), RGB. Areas that were not scanned are white.

        Raises:
            DamagedRegion: the pixels cannot be read, not even with a fresh handle.
        """
        image = self._read_region((x_level0, y_level0), level, (math.ceil(width), math.ceil(height)))
        if (width, height) != size_px:
            image = image.resize(size_px, Image.Resampling.LANCZOS, box=(0, 0, width, height), reducing_gap=3)
        return np.asarray(image)

    def _read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        try:
            return over_white(self._slide.read_region(location, level, size))
        except OpenSlideError:
            self._reopen()  # an OpenSlide handle repeats its first error for ever
        try:
            return over_white(self._slide.read_region(location, level, size))
        except OpenSlideError as error:
            self._reopen()
            raise DamagedRegion(f"level {level} at {location}: {error}") from error

    def _open(self) -> OpenSlide:
        try:
            return OpenSlide(self.path)
        except OpenSlideError as error:
            read_every_byte(self.path)
            reason = "the file is empty" if self.path.stat().st_size == 0 else f"OpenSlide does not open it ({error})"
            raise Unusable(
                "unreadable", f"{reason}: copy it again, or export it as a tiled pyramidal TIFF with JPEG compression"
            ) from error

    def _reopen(self) -> None:
        self.close()
        self._slide = self._open()

    def close(self) -> None:
        """Close the file."""
        self._slide.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def over_white(image: Image.Image) -> Image.Image:
    """Lay an RGBA image over white."""
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def read_every_byte(path: Path) -> None:
    """Read a file to its end, to tell a damaged file, which stays so, from a failing disk, which may pass.

    Raises:
        UserError: there is no such file, or it may not be read.
        OSError: the disk fails.
    """
    try:
        with open(path, "rb") as stream:
            while stream.read(_BLOCK_BYTES):
                pass
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UserError(f"slide {path} cannot be opened ({error.strerror}): correct its path in the sheet") from None
