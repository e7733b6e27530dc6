"""Selection of the reader that opens a slide."""

from pathlib import Path

from openslide import OpenSlide, OpenSlideError

from gensis.slides.dicom import why_refused
from gensis.slides.openslide_reader import OpenSlideReader
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.picture_reader import PictureReader
from gensis.slides.reader import TIFF_HEADS, Reader, Unsupported, read_every_byte
from gensis.slides.tiff_pages import check_claims
from gensis.slides.tiff_reader import TiffReader

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff")
# Vendors whose stored tiles make up the levels. Tiles of others overlap, are rotated, or have gaps.
_PLAIN_VENDORS = ("aperio", "generic-tiff")
# OpenSlide's errors for fluorescence slides of Leica and Zeiss.
_NO_BRIGHTFIELD = ("Can't find main image", "Pixel type", "Nonzero subblock channel")
_CONVERT = "copy it again, or export it as a tiled pyramidal TIFF with JPEG compression"


def open_slide(path: Path, kind: str = "auto") -> Reader:
    """Open a slide with the reader `kind`: `openslide`, `tiff` or `picture`.

    `auto` first lets OpenSlide detect the format, since a slide's main file may look like another format: for MIRAX, it
    is a JPEG. Then it chooses the fastest reader that gives the right pixels: `tiff` for TIFFs whose tiles make up the
    levels, `openslide` for all other formats that OpenSlide supports, `tiff` and `picture` for other TIFF, PNG and JPEG
    files.

    Raises:
        Unusable: the file can be read, but not opened as a slide.
        UserError: the file does not exist.
        OSError: an I/O error, possibly temporary.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            head = stream.read(4)
        if not head:
            raise Unsupported("the file is empty")
        _check_name(path, kind)
        return _by_content(path, head) if kind == "auto" else _by_kind(path, kind)
    except (Unsupported, OpenSlideError, OSError) as error:
        read_every_byte(path)
        if (reason := why_refused(path, error)) is not None:
            raise Unusable("unsupported", reason) from error
        if any(words in str(error) for words in _NO_BRIGHTFIELD):
            reason = f"OpenSlide finds no brightfield image ({error}), as in fluorescence scans; {BRIGHTFIELD_ONLY}"
            raise Unusable("unsupported", reason) from error
        who = "OpenSlide cannot open it: " if isinstance(error, OpenSlideError) else ""
        raise Unusable("unreadable", f"{who}{error}: {_CONVERT}") from error


def _check_name(path: Path, kind: str) -> None:
    """Refuse to read the main file of a MIRAX slide, which is only a preview, as the slide."""
    if path.suffix.lower() != ".mrxs":
        return
    if kind == "picture":
        raise Unsupported("it is only a preview, the slide's pixels are in the folder next to it: set reader to auto")
    if path.suffix != ".mrxs":
        raise Unsupported("OpenSlide needs the suffix .mrxs in lower case: rename it")
    if OpenSlide.detect_format(path) != "mirax":
        raise Unsupported(f"it is only a preview, and the folder {path.stem}/ with Slidedat.ini is missing next to it")


def _by_kind(path: Path, kind: str) -> Reader:
    if kind == "tiff":
        vendor = OpenSlide.detect_format(path)
        if vendor is not None and vendor not in _PLAIN_VENDORS:
            raise Unsupported(f"the reader tiff does not support this vendor's files ({vendor}): set reader to auto")
        return TiffReader(path)
    return PictureReader(path) if kind == "picture" else _checked(OpenSlideReader(path))


def _by_content(path: Path, head: bytes) -> Reader:
    vendor = OpenSlide.detect_format(path)
    if vendor is None and head.startswith(_PICTURES):
        return PictureReader(path)
    if vendor is None and head in TIFF_HEADS:
        return TiffReader(path)
    if vendor not in _PLAIN_VENDORS:
        return _checked(OpenSlideReader(path))
    return _open_plain_tiff(path)


def _open_plain_tiff(path: Path) -> Reader:
    try:
        slide = OpenSlideReader(path)
    except OpenSlideError as refusal:
        try:
            return TiffReader(path)
        except Unsupported as error:
            raise Unsupported(f"neither OpenSlide ({refusal}) nor tifffile ({error}) can open it") from error
    try:
        reader = TiffReader(path, slide)
    except Unsupported:
        return _checked(slide)
    except Unusable:
        slide.close()
        raise
    slide.close()
    return reader


def _checked(slide: OpenSlideReader) -> OpenSlideReader:
    """A slide to read with OpenSlide; refused if its header would make OpenSlide use unlimited memory or time."""
    check_claims(slide.path, slide.size_level0 if slide.vendor in _PLAIN_VENDORS else None)
    return slide
