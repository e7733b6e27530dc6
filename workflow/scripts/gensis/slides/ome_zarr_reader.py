"""Slides in OME-Zarr folders, read chunk by chunk with zarr."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gensis.slides.ome_zarr import METADATA, ZarrImage, zarr_images
from gensis.slides.once import Once
from gensis.slides.optional import MissingPackage, optional
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.reader import (
    DamagedRegion,
    Reader,
    SlideFile,
    Unsupported,
    forbidden,
    mean_downsamples,
    mpp_properties,
    only_largest,
    paste,
)

if TYPE_CHECKING:
    import zarr

_CACHE_BYTES = 1 << 28  # of decoded chunks, for all threads
_LARGEST_CHUNK_PX = 1 << 27
_LARGEST_ASPECT_DIFFERENCE = 0.02
_COARSER = 2  # an image this many times coarser than the slide is a macro or label
_LARGEST_MACRO = 1 / 3  # of the slide's number of px, if the resolution of one is not stated
_WHAT = {"t": "a series of {} time points", "z": "a stack of {} focal planes"}


class OmeZarrReader(Reader):
    """The largest image of an OME-Zarr folder. A chunk that is not stored has the array's fill value."""

    kind = "ome_zarr"

    def __init__(self, path: Path):
        """Open the folder that contains the metadata file `path`.

        Raises:
            Unsupported: its metadata are damaged or missing, or the package zarr is.
            Unusable: `unsupported`: it is not a single colour image.
        """
        self.path = Path(path)
        zarr = optional("zarr", "OME-Zarr")
        try:
            images = [(image, _open(zarr, image)) for image in zarr_images(self.path.parent)]
            self._image, self._arrays = max(images, key=lambda each: _area(*each))
            self._check()
        except (Unusable, MissingPackage):
            raise
        except Exception as error:  # damaged metadata may raise anything
            raise Unsupported(f"zarr cannot read it ({type(error).__name__}: {error})") from error
        self.level_sizes = tuple(_size(self._image, array) for array in self._arrays)
        self.tile_sizes = tuple(_size(self._image, array, array.chunks) for array in self._arrays)
        if any(width * height > _LARGEST_CHUNK_PX for width, height in self.tile_sizes):
            raise Unsupported(f"its chunks of {self.tile_sizes[0]} px do not fit in memory")
        self.downsamples = mean_downsamples(self.level_sizes)
        self.properties = mpp_properties(self._image.mpp_x, self._image.mpp_y)
        others = [each for each in images if each[0] is not self._image and self._is_scan(*each)]
        self.remark = only_largest([_size(image, arrays[0]) for image, arrays in others])
        self._decoded = Once(self._decode, _CACHE_BYTES)

    @classmethod
    def recognises(cls, file: SlideFile) -> bool:
        """The metadata file of a folder."""
        return file.path.name in METADATA

    def _check(self) -> None:
        """Refuse what is not 8-bit RGB, and leave out levels of another aspect ratio."""
        finest = self._arrays[0]
        sizes = dict(zip(self._image.axes, finest.shape, strict=True))
        for axis, what in _WHAT.items():
            if sizes.get(axis, 1) > 1:
                reason = f"it is {what.format(sizes[axis])}: export the one in focus, or of one time, to its own folder"
                raise Unusable("unsupported", reason)
        if sizes.get("c", 1) != 3 or finest.dtype != np.uint8:
            reason = f"it has {sizes.get('c', 1)} channel(s) of {finest.dtype}; {BRIGHTFIELD_ONLY}"
            raise Unusable("unsupported", reason)
        self._arrays = [array for array in self._arrays if _has_aspect(_size(self._image, array), sizes)]

    def _is_scan(self, image: ZarrImage, arrays: "list[zarr.Array]") -> bool:
        if image.mpp_x is None or self._image.mpp_x is None:
            return _area(image, arrays) > _LARGEST_MACRO * _area(self._image, self._arrays)
        return image.mpp_x < _COARSER * self._image.mpp_x

    def region(self, level: int, *, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See Reader."""
        result = np.full((height, width, 3), 255, np.uint8)
        chunk_width, chunk_height = self.tile_sizes[level]
        level_width, level_height = self.level_sizes[level]
        for row in range(max(y, 0) // chunk_height, -(-min(y + height, level_height) // chunk_height)):
            for column in range(max(x, 0) // chunk_width, -(-min(x + width, level_width) // chunk_width)):
                paste(result, self._decoded(level, row, column), column * chunk_width - x, row * chunk_height - y)
        return result

    def _decode(self, level: int, row: int, column: int) -> np.ndarray:
        """A chunk as uint8 (H, W, 3)."""
        width, height = self.tile_sizes[level]
        part = {"y": np.s_[row * height : (row + 1) * height], "x": np.s_[column * width : (column + 1) * width]}
        index = tuple(({"c": np.s_[:]} | part).get(axis, 0) for axis in self._image.axes)
        try:
            pixels = np.asarray(self._arrays[level][index])
        except PermissionError as error:
            raise forbidden(error) from None
        except Exception as error:  # codecs raise many kinds, also an OSError that has no number
            if getattr(error, "errno", None) is not None:
                raise
            raise DamagedRegion(f"chunk ({column}, {row}) of level {level} cannot be decoded: {error}") from error
        order = [axis for axis in self._image.axes if axis in "yxc"]
        return np.ascontiguousarray(pixels.transpose([order.index(axis) for axis in "yxc"]))

    def close(self) -> None:
        """Nothing is open."""


def _open(zarr, image: ZarrImage) -> "list[zarr.Array]":
    return [zarr.open_array(level, mode="r") for level in image.levels]


def _size(image: ZarrImage, array: "zarr.Array", shape: tuple[int, ...] | None = None) -> tuple[int, int]:
    """Width and height of an array, or of its chunks."""
    shape = array.shape if shape is None else shape
    return int(shape[image.axes.index("x")]), int(shape[image.axes.index("y")])


def _area(image: ZarrImage, arrays: "list[zarr.Array]") -> int:
    width, height = _size(image, arrays[0])
    return width * height


def _has_aspect(size: tuple[int, int], finest: dict[str, int]) -> bool:
    across, down = finest["x"] / size[0], finest["y"] / size[1]
    return abs(across / down - 1) <= _LARGEST_ASPECT_DIFFERENCE + 1 / size[0] + 1 / size[1]
