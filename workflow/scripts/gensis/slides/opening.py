"""Which reader opens a slide."""

from pathlib import Path

from openslide import OpenSlideError

from gensis.slides.openslide_reader import OpenSlideReader
from gensis.slides.outcomes import Unusable
from gensis.slides.picture_reader import PictureReader
from gensis.slides.reader import Reader, Unsupported, read_every_byte
from gensis.slides.tiff_pages import check_claims
from gensis.slides.tiff_reader import TiffReader

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff")
# Vendors whose tiles are the levels, as they are. Others overlap, are turned, or leave gaps that OpenSlide knows of.
_PLAIN_VENDORS = ("aperio", "generic-tiff")
_CONVERT = "copy it again, or export it as a tiled pyramidal TIFF with JPEG compression"


def open_slide(path: Path, kind: str = "auto") -> Reader:
    """Open a slide with the reader `kind`: `openslide`, `tiff` or `picture`.

    `auto` takes the fastest one that gives the right pixels: `picture` for PNG and JPEG files, `tiff` for TIFFs whose
    tiles tifffile and imagecodecs decode, `openslide` for all others.

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
        return _by_content(path, head) if kind == "auto" else _by_kind(path, kind)
    except (Unsupported, OpenSlideError, OSError) as error:
        read_every_byte(path)
        who = "OpenSlide does not open it: " if isinstance(error, OpenSlideError) else ""
        raise Unusable("unreadable", f"{who}{error}: {_CONVERT}") from error


def _by_kind(path: Path, kind: str) -> Reader:
    if kind == "tiff":
        return TiffReader(path)
    return PictureReader(path) if kind == "picture" else _checked(OpenSlideReader(path))


def _by_content(path: Path, head: bytes) -> Reader:
    if head.startswith(_PICTURES):
        return PictureReader(path)
    if head not in _TIFF:
        return OpenSlideReader(path)
    try:
        slide = OpenSlideReader(path)
    except OpenSlideError as refusal:
        try:
            return TiffReader(path)
        except Unsupported as error:
            raise Unsupported(f"neither OpenSlide ({refusal}) nor tifffile opens it ({error})") from error
    if slide.vendor not in _PLAIN_VENDORS:
        return _checked(slide)
    try:
        reader = TiffReader(path, slide)
    except Unsupported:
        return _checked(slide)
    slide.close()
    return reader


def _checked(slide: OpenSlideReader) -> OpenSlideReader:
    """A slide that OpenSlide alone reads, unless its header would have OpenSlide take memory or time without end."""
    check_claims(slide.path)
    return slide
