"""Decoding of image files during import. `docs/inputs.md` lists the formats and how each is read."""

import io
import re
from dataclasses import dataclass

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose

from gensis.images.codec import decode, decoding
from gensis.images.modes import image_to_rgb, to_rgb
from gensis.slides.jpeg import decode_strictly

LARGEST_PX = 100_000_000
"""Larger images are refused: they would take gigabytes. Medium format cameras reach this size."""
LARGEST_BYTES = 8 * LARGEST_PX
"""Size of the largest image with 16 bits and four channels; larger files are not read."""
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")
"""Formats that Pillow may open. It decodes these itself, whereas it would start an external program for EPS."""

_ORIENTATION = 0x0112  # EXIF tag: orientation of the image for viewing
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
# Warnings of libjpeg although the image is complete: unusual headers. Bytes left over before the markers 0xd0 to 0xd9,
# which are within the image data or end them, are data that damage has shifted.
_HARMLESS = re.compile(
    r"extraneous bytes before marker 0x(?!d\d)|Invalid SOS parameters|Adobe color transform|JFIF revision"
)


@dataclass(frozen=True)
class Picture:
    """A completely decoded image."""

    pixels: np.ndarray
    """uint8 (height, width, 3), RGB, with the EXIF orientation applied."""
    as_trained: bool
    """Whether training can decode the file's own bytes fast and get these pixels."""
    frames: int
    """Number of frames of an animation or pages of a TIFF; `pixels` are the first."""


def read_picture(encoded: bytes) -> Picture:
    """Decode an image strictly. Training decodes images millions of times without these checks.

    Args:
        encoded: content of a file in one of FORMATS, whatever its name.

    Raises:
        ValueError: it is not an image, is truncated or damaged, is too large, or has no defined range of values.
        MemoryError: there is not enough memory; the image may be fine.
    """
    with decoding(), _open(encoded) as image:
        pixels, as_trained = _decode(encoded, image)
        turn = _TURNS.get(_orientation(encoded, image))  # Pillow has applied a TIFF's orientation and removed the tag
        if turn is not None:
            pixels, as_trained = np.asarray(Image.fromarray(pixels).transpose(turn)), False
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # previews of phones are not frames
        return Picture(pixels, as_trained, frames)


def refuse_size(size: int, largest: int, unit: str) -> None:
    """Raise ValueError for an empty or too large image or file."""
    if not size:
        raise ValueError("it is empty")
    if size > largest:
        raise ValueError(f"{size:,} {unit}, {_too_large(largest, unit)}")


def _too_large(largest: int, unit: str) -> str:
    return f"more than the limit of {largest:,} {unit}: make it smaller, or tile it with `kind: slides`"


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
    """Why Pillow does not open a file."""
    try:
        with tifffile.TiffFile(io.BytesIO(encoded)) as file:
            page = file.pages.first
            kind = f"{page.dtype} {page.shape}, compression {page.compression.name}"
            return f"unsupported or damaged TIFF of {kind}: save it as grey or RGB of 8 or 16 bits"
    except Exception:  # not a TIFF, or truncated
        return f"none of {', '.join(FORMATS)}, or damaged"


def _decode(encoded: bytes, image: Image.Image) -> tuple[np.ndarray, bool]:
    """The pixels, and whether training may decode the same bytes."""
    if image.format in ("JPEG", "MPO") and image.mode != "CMYK":
        return _decode_jpeg(encoded, image), True
    if image.format == "PNG":
        decoded = imagecodecs.png_decode(encoded)
        pixels = to_rgb(decoded)
        return pixels, pixels is decoded
    return image_to_rgb(image), False  # Pillow knows that 255 is no ink in a CMYK JPEG


def _decode_jpeg(encoded: bytes, image: Image.Image) -> np.ndarray:
    """Decode a complete grey or colour JPEG. libjpeg only warns of missing data and fills it with grey."""
    try:
        return decode_strictly(encoded)
    except ValueError as error:
        if not _HARMLESS.search(str(error)):
            raise
    image.load()  # it may be truncated nevertheless, which Pillow detects
    return decode(encoded)


def _orientation(encoded: bytes, image: Image.Image) -> int:
    """Value of the EXIF orientation tag; 1 if there is none."""
    if image.format == "PNG" and not any(chunk in encoded for chunk in _PNG_WITH_EXIF):
        return 1  # Pillow would decode the whole image to find chunks after it
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data may raise anything; viewers ignore it
        return 1
