"""Zeiss CZI slides that OpenSlide does not decode, such as those in JPEG XR, read with pylibCZIrw."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from gensis.slides.ome import number
from gensis.slides.optional import optional
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.reader import (
    DamagedRegion,
    Reader,
    SlideFile,
    Unsupported,
    cut,
    mean_downsamples,
    mpp_properties,
    only_largest,
)

_HEAD = b"ZISRAWFILE"
_CACHE_BYTES = 1 << 28  # of decoded subblocks: much larger than tiles, and most tiles need the same ones
_WHITE = (1.0, 1.0, 1.0)
_UM_PER_M = 1e6
_WHAT = {"Z": "a stack of {} focal planes", "T": "a series of {} time points"}
_NO_PLANES = frozenset("XYCSMB")


class CziReader(Reader):
    """The largest scene of a CZI. Its levels are the steps of the stored pyramid; between them libCZI interpolates."""

    kind = "czi"
    has_gaps = True

    def __init__(self, path: Path):
        """Open a CZI.

        Raises:
            Unsupported: pylibCZIrw does not read it, or is not installed.
            Unusable: `unsupported`: it is not a single colour image.
        """
        self.path = Path(path)
        czi = optional("pylibCZIrw.czi", "this CZI")
        self._stack = ExitStack()
        self._lock = threading.Lock()  # libCZI's streams and caches state no guarantee for threads
        try:
            cache = czi.CacheOptions(max_memory_usage=_CACHE_BYTES)
            self._file = self._stack.enter_context(czi.open_czi(str(self.path), cache_options=cache))
            self._check()
            self._find_scene()
            self.properties = mpp_properties(*_resolution(self._file.raw_metadata))
        except Unusable:
            self.close()
            raise
        except Exception as error:  # a damaged file may raise anything
            self.close()
            raise Unsupported(f"pylibCZIrw cannot read it ({type(error).__name__}: {error})") from error

    @classmethod
    def recognises(cls, file: SlideFile) -> bool:
        """CZI files."""
        return file.head.startswith(_HEAD)

    def _check(self) -> None:
        """Refuse what is not a single image in 8-bit RGB."""
        counts = {axis: last - first for axis, (first, last) in self._file.total_bounding_box.items()}
        for axis, planes in counts.items():
            if planes > 1 and axis not in _NO_PLANES:
                what = _WHAT.get(axis, f"a series of {{}} images along {axis}").format(planes)
                raise Unusable("unsupported", f"it is {what}: export the one in focus to its own file")
        stored = self._file.get_channel_pixel_type(0)
        if counts.get("C", 1) != 1 or stored != "Bgr24":
            raise Unusable("unsupported", f"it has {counts.get('C', 1)} channel(s) of {stored}; {BRIGHTFIELD_ONLY}")

    def _find_scene(self) -> None:
        """Choose the largest scene, and find its place and its levels."""
        scenes = self._file.scenes_bounding_rectangle_no_pyramid
        self._scene = max(scenes, key=lambda scene: scenes[scene].w * scenes[scene].h, default=None)
        place = self._file.total_bounding_rectangle_no_pyramid if self._scene is None else scenes[self._scene]
        self._left, self._top = place.x, place.y
        tiles = self._pyramid(place)
        self._factors = tuple(tiles)
        self.level_sizes = tuple((place.w // factor, place.h // factor) for factor in tiles)
        self.tile_sizes = tuple(tiles.values())
        self.downsamples = mean_downsamples(self.level_sizes)
        self.remark = only_largest([(each.w, each.h) for name, each in scenes.items() if name != self._scene])

    def _pyramid(self, place: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Level-0 px per px of each level, and the size of its largest subblock.

        A level is a factor whose subblocks cover half of what those of level 0 cover. The factor is that of whole
        subblocks; it may come out otherwise for small ones at the edges, since their sizes are rounded.
        """
        covered: defaultdict[int, int] = defaultdict(int)
        largest: defaultdict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))

        def add(index: int, subblock) -> bool:
            factor = round(1 / subblock.get_zoom())
            covered[factor] += subblock.logicalRect.w * subblock.logicalRect.h
            size = (subblock.physicalSize.w, subblock.physicalSize.h)
            largest[factor] = max(largest[factor], size, key=lambda size: size[0] * size[1])
            return True

        self._file.enumerate_subblocks_subset(add, roi=tuple(place))
        return {factor: largest[factor] for factor in sorted(covered) if covered[factor] > covered[1] / 2}

    def region(self, level: int, *, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See Reader."""
        factor = self._factors[level]
        place = (self._left + x * factor, self._top + y * factor, width * factor, height * factor)
        try:
            with self._lock:
                pixels = self._file.read(place, scene=self._scene, zoom=1 / factor, background_pixel=_WHITE)
        except OSError:
            raise
        except Exception as error:  # libCZI raises several kinds
            raise DamagedRegion(f"level {level} at ({x}, {y}): {error}") from error
        return cut(pixels[..., ::-1], x=0, y=0, width=width, height=height)

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


def _resolution(metadata: str) -> tuple[float | None, float | None]:
    """um/px in x and y from the metadata, which state metres; None if they do not."""
    if "<!DOCTYPE" in metadata:  # it can define entities that expand to gigabytes
        return None, None
    root = ElementTree.fromstring(metadata)
    metres = [number(root.findtext(f".//Scaling/Items/Distance[@Id='{axis}']/Value")) for axis in "XY"]
    mpp_x, mpp_y = (None if size is None else size * _UM_PER_M for size in metres)
    return mpp_x, mpp_y
