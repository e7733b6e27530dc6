"""Selection of the reader that opens a slide."""

import errno
import os
from pathlib import Path
from pkgutil import resolve_name

from openslide import OpenSlide, OpenSlideError

from gensis.settings.registries import READERS
from gensis.slides.dicom import instances_by_series, why_refused
from gensis.slides.openslide_reader import OpenSlideReader
from gensis.slides.optional import MissingPackage
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.reader import PLAIN_VENDORS, Reader, SlideFile, Unsupported, forbidden, read_every_byte
from gensis.slides.slide_files import main_file
from gensis.slides.tiff_reader import TiffReader

_HEAD_BYTES = 256
# OpenSlide's errors for fluorescence slides of Leica and Zeiss.
_NO_BRIGHTFIELD = ("Can't find main image", "Pixel type", "Nonzero subblock channel")
_FORBIDDEN = os.strerror(errno.EACCES)
_CONVERT = "copy it again, or export it as a tiled pyramidal TIFF with JPEG compression"


def open_slide(path: Path, kind: str = "auto") -> Reader:
    """Open a slide with the reader `kind`, a name in READERS.

    `auto` chooses the fastest reader that gives the right pixels: `tiff` for TIFFs whose tiles make up the levels, and
    for other files the first reader in READERS that recognises them; if OpenSlide refuses the file, the next one.

    Raises:
        KeyError: there is no such reader.
        Unusable: the file cannot be opened as a slide, or this user may not read it.
        UserError: the file does not exist.
        OSError: an I/O error, possibly temporary.
    """
    path = _find_main_file(Path(path))
    open_with = _open_automatically if kind == "auto" else _reader(kind).open
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
        if not head:
            raise Unsupported("the file is empty")
        file = SlideFile(path, head, OpenSlide.detect_format(path))
        _check_name(file, kind)
        return open_with(file)
    except MissingPackage as error:
        raise Unusable("unsupported", str(error)) from error
    except (Unsupported, OpenSlideError, OSError) as error:
        read_every_byte(path)
        if _FORBIDDEN in str(error):  # another file of the slide
            raise forbidden(error) from error
        if (reason := why_refused(path, error)) is not None:
            raise Unusable("unsupported", reason) from error
        if any(words in str(error) for words in _NO_BRIGHTFIELD):
            reason = f"OpenSlide finds no brightfield image ({error}), as in fluorescence scans; {BRIGHTFIELD_ONLY}"
            raise Unusable("unsupported", reason) from error
        who = "OpenSlide cannot open it: " if isinstance(error, OpenSlideError) else ""
        raise Unusable("unreadable", f"{who}{error}: {_CONVERT}") from error


def _find_main_file(named: Path) -> Path:
    """The file to open for a path in the sheet."""
    try:
        path = main_file(named)
        if path != named:
            _check_folder(named)
    except PermissionError as error:
        raise forbidden(error) from None
    if path.is_dir():
        raise Unusable("unsupported", "the folder holds neither DICOM nor OME-Zarr: name the slide's file in the sheet")
    return path


def _check_folder(folder: Path) -> None:
    """Refuse a folder with several DICOM slides."""
    series = instances_by_series(folder)
    if len(series) > 1:
        reason = f"the folder holds {len(series)} series of DICOM, perhaps several slides: name one instance of one"
        raise Unusable("unsupported", reason)


def _check_name(file: SlideFile, kind: str) -> None:
    """Refuse to read the main file of a MIRAX slide, which is only a preview, as the slide."""
    if file.path.suffix.lower() != ".mrxs":
        return
    if kind == "picture":
        raise Unsupported("it is only a preview, the slide's pixels are in the folder next to it: set reader to auto")
    if file.path.suffix != ".mrxs":
        raise Unsupported("OpenSlide needs the suffix .mrxs in lower case: rename it")
    if file.vendor != "mirax":
        folder = f"{file.path.stem}/"
        raise Unsupported(f"it is only a preview, and the folder {folder} with Slidedat.ini is missing next to it")


def _open_automatically(file: SlideFile) -> Reader:
    """Open a file with the reader that suits it; only TIFFs of PLAIN_VENDORS suit two, and are opened with both."""
    if file.vendor in PLAIN_VENDORS:
        return _open_plain_tiff(file.path)
    first, *others = (reader for reader in map(_reader, READERS) if reader.recognises(file))
    try:
        return first.open(file)
    except OpenSlideError as refusal:
        if not others or any(words in str(refusal) for words in _NO_BRIGHTFIELD):
            raise
        try:
            return others[0].open(file)
        except Unsupported as error:
            raise type(error)(f"OpenSlide cannot open it ({refusal}): {error}") from error


def _reader(kind: str) -> type[Reader]:
    return resolve_name(READERS[kind])


def _open_plain_tiff(path: Path) -> Reader:
    """A TIFF whose tiles make up the levels, with the reader tiff if it reads the file as OpenSlide does."""
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
        slide.check()
        return slide
    except Unusable:
        slide.close()
        raise
    slide.close()
    return reader
