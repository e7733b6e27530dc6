"""DICOM slides that OpenSlide does not decode, read with wsidicom."""

from pathlib import Path

import numpy as np

from gensis.slides.dicom import Header, instances_by_series, is_dicom, read_header
from gensis.slides.optional import optional
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.reader import (
    DamagedRegion,
    Reader,
    SlideFile,
    Unsupported,
    mean_downsamples,
    mpp_properties,
    only_largest,
    paste,
)


class DicomReader(Reader):
    """A series of DICOM instances in one folder: levels, and parts of levels (concatenations)."""

    kind = "dicom"
    has_gaps = True

    def __init__(self, path: Path):
        """Open the series that one of its instances belongs to.

        Raises:
            Unsupported: wsidicom does not read it, or is not installed.
            Unusable: `unsupported`: it is not a single colour image.
        """
        self.path = Path(path)
        header = read_header(self.path)
        if header is None or not header.bits:
            raise Unsupported("its DICOM header is incomplete, or in an encoding that is not read")
        _check(header)
        wsidicom = optional("wsidicom", f"this DICOM ({header})")
        try:
            self._slide = wsidicom.WsiDicom.open(instances_by_series(self.path.parent)[header.series])
        except Exception as error:  # a damaged file may raise anything
            raise Unsupported(f"wsidicom cannot read it ({type(error).__name__}: {error})") from error
        levels = list(self._slide.pyramid)
        optical_paths = len(levels[0].optical_paths)
        if optical_paths > 1 or len(levels[0].focal_planes) > 1:
            self.close()
            planes = f"{len(levels[0].focal_planes)} focal planes and {optical_paths} optical path(s)"
            raise Unusable("unsupported", f"it has {planes}: export one plane; {BRIGHTFIELD_ONLY}")
        self._indices = tuple(level.level for level in levels)
        self.level_sizes = tuple((level.size.width, level.size.height) for level in levels)
        self.tile_sizes = tuple((level.tile_size.width, level.tile_size.height) for level in levels)
        self.downsamples = mean_downsamples(self.level_sizes)
        self.properties = mpp_properties(self._slide.mpp.width, self._slide.mpp.height)
        others = list(self._slide.pyramids)[1:]  # wsidicom puts the largest first
        self.remark = only_largest([(other.size.width, other.size.height) for other in others])

    @classmethod
    def recognises(cls, file: SlideFile) -> bool:
        """DICOM files."""
        return is_dicom(file.head)

    def region(self, level: int, *, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See Reader."""
        result = np.full((height, width, 3), 255, np.uint8)
        level_width, level_height = self.level_sizes[level]
        left, top = max(x, 0), max(y, 0)
        size = (min(x + width, level_width) - left, min(y + height, level_height) - top)
        if min(size) <= 0:
            return result
        try:
            pixels = self._slide.read_region((left, top), self._indices[level], size, as_array=True)
        except OSError:
            raise
        except Exception as error:  # codecs raise many kinds
            raise DamagedRegion(f"level {level} at ({x}, {y}): {error}") from error
        paste(result, pixels, left - x, top - y)
        return result

    def close(self) -> None:
        """Close the files."""
        self._slide.close()


def _check(header: Header) -> None:
    """Refuse what is not a single image in 8-bit RGB, also where wsidicom is not installed."""
    if header.focal_planes > 1:
        reason = f"it is a stack of {header.focal_planes} focal planes: export the plane in focus to its own series"
        raise Unusable("unsupported", reason)
    if header.samples != 3 or header.bits != 8:
        reason = f"it has {header.samples} channel(s) of {header.bits} bits; {BRIGHTFIELD_ONLY}"
        raise Unusable("unsupported", reason)
