"""Which pages of a TIFF are the levels of a slide, and what its tags say."""

from pathlib import Path
from typing import TYPE_CHECKING

from tifffile import COMPRESSION, TiffFile, TiffPage

from gensis.slides.reader import Unsupported

if TYPE_CHECKING:
    from gensis.slides.openslide_reader import OpenSlideReader

_UNITS = {2: "inch", 3: "centimeter"}


def find_pages(file: TiffFile, slide: "OpenSlideReader | None") -> list[TiffPage]:
    """The page of each level, finest first.

    Args:
        file: the TIFF.
        slide: the same file, where OpenSlide opens it. Its levels are the ones to find, unless the file has sub-images,
            which OpenSlide does not see.

    Raises:
        Unsupported: they are not pages that can be read as they are.
    """
    _check_chain(file)
    sizes = slide.level_sizes if slide else ()
    named = [_page_of_size(file, size) for size in sizes]
    pages = _pages_of_largest_series(file) if not named or named[0].subifds else named
    if slide and slide.vendor == "aperio":
        _check_aperio(pages)
    if any(page.parent is not file for page in pages):
        raise Unsupported("its levels lie in several files")
    return pages


def check_claims(path: Path) -> None:
    """Refuse a TIFF that claims more tiles than it lists, or tiles of more bytes than it has.

    What tifffile does not open is not judged.

    Raises:
        Unsupported: it claims so.
    """
    try:
        with TiffFile(path) as file:
            _check_chain(file)
            for page in file.pages:
                _check_tiles(page, file.filehandle.size)
    except Unsupported:
        raise
    except Exception:  # no TIFF, or a damaged header, which raises whatever its bytes lead to
        return


def _check_tiles(page: TiffPage, size_bytes: int) -> None:
    if not page.is_tiled:
        return
    columns, rows = -(-page.imagewidth // page.tilewidth), -(-page.imagelength // page.tilelength)
    for tile, strip in (("TileOffsets", "StripOffsets"), ("TileByteCounts", "StripByteCounts")):
        tag = page.tags.get(tile) or page.tags.get(strip)  # some write the one for the other
        if tag is None or tag.count < columns * rows:
            raise Unsupported(f"its {tile} do not list the {columns} x {rows} tiles that make the image")
    if max(page.databytecounts) > size_bytes:
        raise Unsupported(f"a tile claims {max(page.databytecounts)} bytes, and the file has {size_bytes}")


def _check_chain(file: TiffFile) -> None:
    """Refuse a file whose pages lead back to an earlier one, which tifffile would follow for ever."""
    file.pages.cache = True  # what is read here is read once
    seen: set[int] = set()
    for page in file.pages:
        if page.offset in seen:
            raise Unsupported(f"its page at byte {page.offset} follows itself")
        seen.add(page.offset)


def _page_of_size(file: TiffFile, size: tuple[int, int]) -> TiffPage:
    for page in file.pages:
        if isinstance(page, TiffPage) and page.is_tiled and (page.imagewidth, page.imagelength) == size:
            return page
    raise Unsupported(f"no page has the {size[0]} x {size[1]} px of a level")


def _pages_of_largest_series(file: TiffFile) -> list[TiffPage]:
    series = max(file.series, key=lambda series: series.keyframe.imagewidth * series.keyframe.imagelength)
    for level in series.levels:
        if len(level.pages) != 1:
            raise Unsupported(f"it holds {len(level.pages)} images in one (axes {level.axes}), not one in colour")
    pages = [level.keyframe for level in series.levels]
    return sorted(pages, key=lambda page: -page.imagewidth)


def _check_aperio(pages: list[TiffPage]) -> None:
    """Leave to OpenSlide what it mends: tiles that the scanner left out, and YCbCr in JPEG 2000."""
    for page in pages:
        if page.compression == COMPRESSION.APERIO_JP2000_YCBC or not all(page.databytecounts):
            raise Unsupported("OpenSlide knows more of this kind of file")


def read_properties(page: TiffPage) -> dict[str, str]:
    """Metadata of a page under OpenSlide's names."""
    properties = {"tiff.ImageDescription": page.description}
    for axis in "XY":
        tag = page.tags.get(f"{axis}Resolution")
        if tag is not None and tag.value[0] and tag.value[1]:
            properties[f"tiff.{axis}Resolution"] = repr(tag.value[0] / tag.value[1])
    unit = page.tags.valueof("ResolutionUnit", 2)  # inch, if the tag is absent
    return properties | {"tiff.ResolutionUnit": _UNITS.get(int(unit), "none")}
