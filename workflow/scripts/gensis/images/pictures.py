"""Users' pictures as they are imported. `docs/inputs.md` has the table of what is read and how."""

import io
from dataclasses import dataclass

import imagecodecs
import numpy as np
import simplejpeg
import tifffile
from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose

from gensis.images.codec import decode, decoding
from gensis.images.modes import image_to_rgb, to_rgb

LARGEST_PX = 100_000_000
"""A picture with more pixels fails: it would take gigabytes. A medium format camera gives as many."""
LARGEST_BYTES = 8 * LARGEST_PX
"""What the largest picture takes with 16 bits and four channels; a larger file is not even read."""
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")
"""What Pillow may open: libraries within it, and no program beside it, as it would start for EPS."""

_ORIENTATION = 0x0112  # tag of EXIF: how a picture is turned for viewing
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_PNG_WITH_EXIF = (b"eXIf", b"Raw profile type exif")
# libjpeg warns of these too, but all of the picture is there: cameras fill up their files or write odd headers.
_HARMLESS = ("extraneous bytes before marker", "Invalid SOS parameters", "Adobe color transform", "JFIF revision")


@dataclass(frozen=True)
class Picture:
    """A picture that is whole."""

    pixels: np.ndarray
    """uint8 (height, width, 3), RGB, turned as viewers show it."""
    as_trained: bool
    """Whether training reads these pixels, and fast, from the file's own bytes."""
    frames: int
    """Frames of an animation or pages of a TIFF; `pixels` are the first."""


def read_picture(encoded: bytes) -> Picture:
    """Decode a picture strictly: training decodes millions of times and does not look, so this does, once.

    Args:
        encoded: a file of one of FORMATS, whatever its name says.

    Raises:
        ValueError: it is none, is cut short or damaged, is too large, or its pixels have no known range.
        MemoryError: the memory is short; that says nothing of the picture.
    """
    with decoding(), _open(encoded) as image:
        pixels, as_trained = _decode(encoded, image)
        turn = _TURNS.get(_orientation(encoded, image))  # of a TIFF, Pillow has turned it by now and says so
        if turn is not None:
            pixels, as_trained = np.asarray(Image.fromarray(pixels).transpose(turn)), False
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # a phone's previews are no frames
        return Picture(pixels, as_trained, frames)


def refuse_size(size: int, largest: int, unit: str) -> None:
    """Raise ValueError for nothing, and for more than is read."""
    if not size:
        raise ValueError("it is empty")
    if size > largest:
        raise ValueError(f"{size:,} {unit}, {_too_large(largest, unit)}")


def _too_large(largest: int, unit: str) -> str:
    return f"more than the {largest:,} {unit} that are read: make it smaller, or cut it with `kind: slides`"


def _open(encoded: bytes) -> Image.Image:
    """Read the header alone."""
    try:
        image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(_unknown(encoded)) from None
    except Image.DecompressionBombError:  # Pillow's own limit, which is higher
        raise ValueError(_too_large(LARGEST_PX, "px")) from None
    refuse_size(image.width * image.height, LARGEST_PX, "px")
    return image


def _unknown(encoded: bytes) -> str:
    """What to say of a file that Pillow does not open."""
    try:
        with tifffile.TiffFile(io.BytesIO(encoded)) as file:
            page = file.pages.first
            kind = f"{page.dtype} {page.shape}, compression {page.compression.name}"
            return f"a TIFF of {kind} is not read, or it is damaged: save it as grey or RGB of 8 or 16 bits"
    except Exception:  # no TIFF, or one cut short
        return f"none of {', '.join(FORMATS)}, or damaged"


def _decode(encoded: bytes, image: Image.Image) -> tuple[np.ndarray, bool]:
    """The pixels, and whether training may read them from the same bytes."""
    if image.format in ("JPEG", "MPO") and image.mode != "CMYK":
        return _decode_jpeg(encoded, image), True
    if image.format == "PNG":
        decoded = imagecodecs.png_decode(encoded)
        pixels = to_rgb(decoded)
        return pixels, pixels is decoded
    return image_to_rgb(image), False  # of CMYK in a JPEG, Pillow knows that 255 is no ink


def _decode_jpeg(encoded: bytes, image: Image.Image) -> np.ndarray:
    """Grey or colour, whole: libjpeg fills what is missing with grey and only warns."""
    try:
        return simplejpeg.decode_jpeg(encoded, "RGB", strict=True)
    except ValueError as error:
        if not any(warning in str(error) for warning in _HARMLESS):
            raise
    image.load()  # it may be cut short all the same, which Pillow notices
    return decode(encoded)


def _orientation(encoded: bytes, image: Image.Image) -> int:
    """The tag's number, 1 where there is none."""
    if image.format == "PNG" and not any(chunk in encoded for chunk in _PNG_WITH_EXIF):
        return 1  # Pillow would decode all of the picture to see what comes behind it
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises whatever its bytes lead to; viewers ignore it
        return 1
