"""The pages of a TIFF that are the levels of a slide, and its metadata."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tifffile import TiffFile, TiffPage, TiffPageSeries

from gensis.slides.ome import OmeImage, image_of_size, ome_images
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.reader import Unsupported
from gensis.slides.units import SizeLevel0

if TYPE_CHECKING:
    from gensis.slides.openslide_reader import OpenSlideReader

_UNITS = {2: "inch", 3: "centimeter"}
_LARGEST_ASPECT_DIFFERENCE = 0.02
_LARGEST_MACRO = 1 / 3  # of the slide's number of px, if the file does not state the resolution of both
_WRITE_RGB = "raw2ometiff --rgb IN.zarr OUT.ome.tiff"
_COARSER = 2  # an image this many times coarser than the slide is a macro


def find_pages(file: TiffFile, slide: "OpenSlideReader | None") -> list[TiffPage]:
    """The page of each level, finest first.

    Args:
        file: the TIFF.
        slide: the same file, if OpenSlide opens it. The pages of its levels are returned, unless the file has
            sub-images or further images, which OpenSlide does not see. Then the largest image is the slide.

    Raises:
        Unsupported: the levels are not pages that can be read directly.
        Unusable: `unsupported`, if the slide is not a single image: focal planes, channels, ...
    """
    _check_chain(file)
    named = [_page_of_size(file, size) for size in slide.level_sizes] if slide else []
    if not named or _has_more(file, named[0]):
        named = _pages_of_largest_series(file)
    pages = [page for page in named if is_smaller_version(page, named[0])]
    if slide and slide.vendor == "aperio":
        _check_aperio(pages)
    if any(page.parent is not file for page in pages):
        raise Unsupported("its levels are in several files")
    return pages


def _has_more(file: TiffFile, page: TiffPage) -> bool:
    """Whether a file has images that OpenSlide, whose finest level is `page`, does not list."""
    others = [other for other in file.pages if other is not page and other.is_tiled]
    return bool(page.subifds) or file.is_ome or any(_area(other) >= _area(page) for other in others)


def _area(page: TiffPage) -> int:
    return page.imagewidth * page.imagelength


def is_smaller_version(page: TiffPage, finest: TiffPage) -> bool:
    """Whether a page has the aspect ratio of the finest page, like levels of a pyramid and unlike a macro."""
    across, down = finest.imagewidth / page.imagewidth, finest.imagelength / page.imagelength
    rounding = 1 / page.imagewidth + 1 / page.imagelength
    return abs(across / down - 1) <= _LARGEST_ASPECT_DIFFERENCE + rounding


def images_left_out(file: TiffFile, taken: TiffPage) -> list[tuple[int, int]]:
    """Width and height in px of further scans in the file, besides the one with the finest page `taken`."""
    size = (taken.imagewidth, taken.imagelength)
    if file.is_ome:
        images = ome_images(file.ome_metadata or "")
        described = image_of_size(images, size)
        return [image.size for image in images if image is not described and _is_scan(image, described)]
    pages = (page for page in file.pages if isinstance(page, TiffPage))
    others = [page for page in pages if page.is_tiled and not page.is_reduced]
    return [
        (page.imagewidth, page.imagelength)
        for page in others
        if _area(page) > _LARGEST_MACRO * _area(taken) and not is_smaller_version(page, taken)
    ]


def _is_scan(image: OmeImage, taken: OmeImage) -> bool:
    if image.mpp_x is None or taken.mpp_x is None:
        return math.prod(image.size) > _LARGEST_MACRO * math.prod(taken.size)
    return image.mpp_x < _COARSER * taken.mpp_x


def check_claims(path: Path, shown_size: SizeLevel0 | None = None) -> None:
    """Refuse a TIFF whose header claims more tiles than it lists, or tiles larger than the file.

    Files that tifffile does not open are not checked.

    Args:
        path: the file.
        shown_size: width and height of the image that OpenSlide shows, if it must be the largest of the file.

    Raises:
        Unsupported: the header is inconsistent.
    """
    try:
        with TiffFile(path) as file:
            _check_chain(file)
            for page in file.pages:
                _check_tiles(page, file.filehandle.size)
                if shown_size and _area(page) > math.prod(shown_size):
                    size = f"{page.imagewidth} x {page.imagelength}"
                    raise Unsupported(f"its largest image has {size} px, but OpenSlide shows another")
    except Unsupported:
        raise
    except Exception:  # not a TIFF, or a damaged header, which may raise anything
        return


def _check_tiles(page: TiffPage, size_bytes: int) -> None:
    if not page.is_tiled:
        return
    columns, rows = -(-page.imagewidth // page.tilewidth), -(-page.imagelength // page.tilelength)
    for tile, strip in (("TileOffsets", "StripOffsets"), ("TileByteCounts", "StripByteCounts")):
        tag = page.tags.get(tile) or page.tags.get(strip)  # some writers swap them
        if tag is None or tag.count < columns * rows:
            raise Unsupported(f"its {tile} do not list all {columns} x {rows} tiles of the image")
    if max(page.databytecounts) > size_bytes:
        raise Unsupported(f"a tile claims {max(page.databytecounts)} bytes, but the file has only {size_bytes}")


def _check_chain(file: TiffFile) -> None:
    """Refuse a file whose list of pages is circular, which tifffile would follow forever."""
    file.pages.cache = True  # pages are read only once
    seen: set[int] = set()
    for page in file.pages:
        if page.offset in seen:
            raise Unsupported(f"its list of pages is circular (page at byte {page.offset})")
        seen.add(page.offset)


def _page_of_size(file: TiffFile, size: tuple[int, int]) -> TiffPage:
    for page in file.pages:
        if isinstance(page, TiffPage) and page.is_tiled and (page.imagewidth, page.imagelength) == size:
            return page
    raise Unsupported(f"no page has the {size[0]} x {size[1]} px of a level")


def _pages_of_largest_series(file: TiffFile) -> list[TiffPage]:
    series = max(file.series, key=lambda series: _area(series.keyframe))
    for level in series.levels:
        if len(level.pages) != 1:
            raise Unusable("unsupported", _why_several(level))
    pages = [level.keyframe for level in series.levels]
    return sorted(pages, key=lambda page: -page.imagewidth)


def _why_several(series: TiffPageSeries) -> str:
    counts = {axis: count for axis, count in zip(series.axes, series.shape) if axis not in "YXS" and count > 1}
    if counts == {"C": 3} and series.dtype == np.uint8:
        return (
            "it has 3 channels of 8 bits in separate pages: if they are red, green and blue, write it again with "
            f"`{_WRITE_RGB}`, or name the OME-Zarr that it was made from in the sheet"
        )
    if "C" in counts:
        return f"it has {counts['C']} channels in separate pages, like fluorescence; {BRIGHTFIELD_ONLY}"
    if "Z" in counts:
        return f"it is a stack of {counts['Z']} focal planes: export the plane in focus to its own file"
    size = f"{series.keyframe.imagewidth} x {series.keyframe.imagelength} px"
    return f"it contains {len(series.pages)} images of {size}: export each, or the one in focus, to its own file"


def _check_aperio(pages: list[TiffPage]) -> None:
    """Leave tiles that the scanner omitted to OpenSlide."""
    for page in pages:
        if not all(page.databytecounts):
            raise Unsupported("omitted tiles are read with OpenSlide")


def read_properties(file: TiffFile, page: TiffPage) -> dict[str, str]:
    """Metadata of a page under OpenSlide's names. In an OME-TIFF, the first page describes all images."""
    properties = {
        "tiff.ImageDescription": (file.is_ome and file.ome_metadata) or page.description,
        "openslide.level[0].width": str(page.imagewidth),
        "openslide.level[0].height": str(page.imagelength),
    }
    for axis in "XY":
        tag = page.tags.get(f"{axis}Resolution")
        if tag is not None and tag.value[0] and tag.value[1]:
            properties[f"tiff.{axis}Resolution"] = repr(tag.value[0] / tag.value[1])
    unit = page.tags.valueof("ResolutionUnit", 2)  # inch, if the tag is absent
    return properties | {"tiff.ResolutionUnit": _UNITS.get(int(unit), "none")}
