"""Which reader opens a slide."""

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
# Vendors whose tiles are the levels, as they are. Others overlap, are turned, or leave gaps that OpenSlide knows of.
_PLAIN_VENDORS = ("aperio", "generic-tiff")
# What OpenSlide says of fluorescence: of Leica, and of Zeiss.
_NO_BRIGHTFIELD = ("Can't find main image", "Pixel type", "Nonzero subblock channel")
_CONVERT = "copy it again, or export it as a tiled pyramidal TIFF with JPEG compression"


def open_slide(path: Path, kind: str = "auto") -> Reader:
    """Open a slide with the reader `kind`: `openslide`, `tiff` or `picture`.

    `auto` asks OpenSlide first what the file is, since a slide's main file may look like something else: MIRAX's is a
    JPEG. Then it takes the fastest reader that gives the right pixels: `tiff` for TIFFs whose tiles are the levels,
    `openslide` for whatever else it knows, `tiff` and `picture` for TIFF, PNG and JPEG files that it does not know.

    Raises:
        Unusable: it is not opened, although the disk gives all its bytes.
        UserError: there is no such file.
        OSError: the disk fails, which may pass.
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
        who = "OpenSlide does not open it: " if isinstance(error, OpenSlideError) else ""
        raise Unusable("unreadable", f"{who}{error}: {_CONVERT}") from error


def _check_name(path: Path, kind: str) -> None:
    """Refuse to read the preview of a MIRAX slide, which is its main file, as if it were the slide."""
    if path.suffix.lower() != ".mrxs":
        return
    if kind == "picture":
        raise Unsupported("it is a preview, and the slide's pixels lie in the folder beside it: set reader to auto")
    if path.suffix != ".mrxs":
        raise Unsupported("OpenSlide wants the ending .mrxs in small letters: rename it")
    if OpenSlide.detect_format(path) != "mirax":
        raise Unsupported(f"it is a preview, and the folder {path.stem}/ with Slidedat.ini does not lie beside it")


def _by_kind(path: Path, kind: str) -> Reader:
    if kind == "tiff":
        vendor = OpenSlide.detect_format(path)
        if vendor is not None and vendor not in _PLAIN_VENDORS:
            raise Unsupported(f"the pages of such a file ({vendor}) are not the slide as they are: set reader to auto")
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
            raise Unsupported(f"neither OpenSlide ({refusal}) nor tifffile opens it ({error})") from error
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
    """A slide that OpenSlide alone reads, unless its header would have OpenSlide take memory or time without end."""
    check_claims(slide.path, slide.size_level0 if slide.vendor in _PLAIN_VENDORS else None)
    return slide
