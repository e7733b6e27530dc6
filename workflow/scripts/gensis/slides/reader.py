"""The interface of all slide readers, and functions that they share. `opening.py` selects the reader."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gensis.errors import UserError
from gensis.slides.outcomes import Unusable
from gensis.slides.units import BoundsLevel0, Downsample, Level0Px, SizeLevel0

_BLOCK_BYTES = 1 << 24
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Vendors whose stored tiles make up the levels. Tiles of others overlap, are rotated, or have gaps.
PLAIN_VENDORS = ("aperio", "generic-tiff")
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class Unsupported(Exception):
    """A file that a reader does not support; the message is the reason."""


class DamagedRegion(Exception):
    """Pixels that cannot be read."""


@dataclass(frozen=True)
class SlideFile:
    """A slide that is not open yet, and what tells its format."""

    path: Path
    head: bytes
    """Its first 256 bytes."""
    vendor: str | None
    """The vendor that OpenSlide detects; None if it does not know the format."""


class Reader(ABC):
    """One slide, opened for reading. Thread-safe; not to be passed to another process."""

    kind: str
    """Its name in READERS."""
    has_gaps: bool = False
    """Whether white areas may be areas that were not scanned."""
    path: Path
    properties: Mapping[str, str]
    """Metadata under OpenSlide's names; the resolution of a format that OpenSlide does not read as
    `mpp_properties`."""
    level_sizes: tuple[tuple[int, int], ...]
    """Width and height of each level in its own px; level 0 is the finest."""
    downsamples: tuple[Downsample, ...]
    """Level-0 px per px of each level."""
    tile_sizes: tuple[tuple[int, int], ...]
    """Width and height in px of each level's tiles in the file: damage affects whole tiles."""

    remark: str = ""
    """What the user should know about a slide that can be read, and what to do."""

    @classmethod
    @abstractmethod
    def recognises(cls, file: SlideFile) -> bool:
        """Whether the file has the format that this reader is for.

        `auto` asks this of every file, so a library that may not be installed is imported in `open`.
        """

    @classmethod
    def open(cls, file: SlideFile) -> "Reader":
        """Open a file, recognised or not.

        Raises:
            Unsupported: this reader does not support it.
            Unusable: it can be read, but not used as a slide.
        """
        return cls(file.path)

    @property
    def size_level0(self) -> SizeLevel0:
        """Width and height in px."""
        width, height = self.level_sizes[0]
        return Level0Px(width), Level0Px(height)

    @property
    def bounds_level0(self) -> BoundsLevel0:
        """Left, top, right and bottom of the scanned area in level-0 px: the whole slide unless the file states it."""
        width, height = self.level_sizes[0]
        left = int(self.properties.get("openslide.bounds-x", 0))
        top = int(self.properties.get("openslide.bounds-y", 0))
        right = left + int(self.properties.get("openslide.bounds-width", width - left))
        bottom = top + int(self.properties.get("openslide.bounds-height", height - top))
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        return Level0Px(left), Level0Px(top), Level0Px(right), Level0Px(bottom)

    @abstractmethod
    def region(self, level: int, *, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Read a rectangle of one level.

        Args:
            level: level of the pyramid.
            x: left edge in px of that level.
            y: top edge.
            width: in px of that level.
            height: in px of that level.

        Returns:
            uint8 (height, width, 3), RGB. Areas outside the slide or not scanned are white.

        Raises:
            DamagedRegion: the pixels cannot be read.
        """

    def draft(self, level: int, *, x: int, y: int, width: int, height: int, scale: float) -> tuple[np.ndarray, int]:
        """Read a rectangle like `region`, reduced by a factor of at most `scale` if the codec makes this fast.

        Returns:
            uint8 (height / factor, width / factor, 3), sizes rounded up, and the factor.
        """
        return self.region(level, x=x, y=y, width=width, height=height), 1

    def chroma(self, level: int) -> str:
        """Chroma subsampling of a level, as in JPEG: `444`, `422` or `420`."""
        return "444"

    def has_jpeg_tiles(self, level: int, size_px: int) -> bool:
        """Whether a level consists of colour JPEG tiles of this size, without gaps, that `jpeg_tile` returns."""
        return False

    def jpeg_tile(self, level: int, x: int, y: int) -> bytes:
        """The whole tile whose top-left corner is at (x, y) in px of the level, as the scanner encoded it.

        Only for a level for which `has_jpeg_tiles` is true: readers for which it never is do not implement this method.

        Returns:
            A JPEG file that decodes to the same pixels.

        Raises:
            DamagedRegion: its bytes are missing.
        """
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def mpp_properties(mpp_x: float | None, mpp_y: float | None) -> dict[str, str]:
    """Properties for the resolution in um/px that a file's own metadata state; None if they do not."""
    stated = {"x": mpp_x, "y": mpp_y}
    return {f"gensis.mpp-{axis}": repr(float(mpp)) for axis, mpp in stated.items() if mpp is not None}


def only_largest(others: Sequence[tuple[int, int]]) -> str:
    """Remark on a slide whose file has other scans, of these widths and heights in px; empty if there are none."""
    if not others:
        return ""
    sizes = ", ".join(f"{width} x {height}" for width, height in others)
    return f"only its largest scan is tiled, others ({sizes} px) are not: export each scan to its own file"


def mean_downsamples(level_sizes: Sequence[tuple[int, int]]) -> tuple[Downsample, ...]:
    """Level-0 px per px of each level, from the sizes of the levels."""
    width, height = level_sizes[0]
    return tuple(Downsample((width / w + height / h) / 2) for w, h in level_sizes)


def cut(pixels: np.ndarray, *, x: int, y: int, width: int, height: int) -> np.ndarray:
    """A rectangle of uint8 (H, W, 3), white outside the image: uint8 (height, width, 3)."""
    result = np.full((height, width, 3), 255, np.uint8)
    paste(result, pixels, -x, -y)
    return result


def paste(target: np.ndarray, pixels: np.ndarray, x: int, y: int) -> None:
    """Copy `pixels` into `target` with their top-left corner at (x, y), which may be outside."""
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + pixels.shape[1], target.shape[1]), min(y + pixels.shape[0], target.shape[0])
    if left < right and top < bottom:
        target[top:bottom, left:right] = pixels[top - y : bottom - y, left - x : right - x]


def resample(pixels: np.ndarray, box: tuple[float, float, float, float], size_px: tuple[int, int]) -> np.ndarray:
    """Resample a rectangle with antialiasing (Lanczos); pixels that already have the wanted size are not changed.

    Args:
        pixels: uint8 (H, W, 3).
        box: left, top, right and bottom in px of `pixels`, possibly fractional.
        size_px: wanted width and height.

    Returns:
        uint8 (size_px[1], size_px[0], 3).
    """
    left, top, right, bottom = box
    if (right - left, bottom - top) == size_px and left == int(left) and top == int(top):
        return pixels[int(top) : int(bottom), int(left) : int(right)]
    x, y = int(left), int(top)
    part = Image.fromarray(np.ascontiguousarray(pixels[y : math.ceil(bottom), x : math.ceil(right)]))
    inner = (left - x, top - y, right - x, bottom - y)
    return np.asarray(part.resize(size_px, Image.Resampling.LANCZOS, box=inner, reducing_gap=3))


def over_white(image: Image.Image) -> Image.Image:
    """Composite an RGBA image on white."""
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def read_every_byte(path: Path) -> None:
    """Read a file to its end, to distinguish a damaged file from an I/O error, which may be temporary.

    Raises:
        UserError: the file does not exist.
        Unusable: `unreadable`: this user may not read it.
        OSError: an I/O error.
    """
    try:
        with open(path, "rb") as stream:
            while stream.read(_BLOCK_BYTES):
                pass
    except ABSENT as error:
        raise absent(path, error) from None
    except PermissionError as error:
        raise forbidden(error) from None


def absent(path: Path, error: OSError) -> UserError:
    """The error for a slide that does not exist, or no longer exists."""
    return UserError(f"slide {path} cannot be opened ({error.strerror}): correct its path in the sheet")


def forbidden(error: Exception) -> Unusable:
    """The error for a slide with a file or folder that this user may not read; `error` names it."""
    return Unusable("unreadable", f"this user may not read it ({error}): give permission, and run again")
