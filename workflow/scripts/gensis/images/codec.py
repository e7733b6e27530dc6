"""Encoding and decoding of images."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image

from gensis.errors import UserError
from gensis.images.modes import image_to_rgb, to_rgb

JPEG, PNG = b"\xff\xd8", b"\x89PNG"
_SHORT_OF_MEMORY = re.compile("(out of|insufficient|not enough) memory", re.IGNORECASE)  # messages of C libraries


def checksum(encoded: bytes) -> int:
    """CRC-32 of an image's bytes. It detects every flipped bit, while a damaged JPEG may decode to wrong pixels.

    Computed by libdeflate: 3 us for 40 kB, a fifth of zlib's time.
    """
    return imagecodecs.deflate_crc32(encoded)


def decode(encoded: bytes) -> np.ndarray:
    """Decode one image.

    Args:
        encoded: a JPEG, a PNG, or any other format that Pillow reads.

    Returns:
        uint8 (height, width, 3), RGB. Transparent areas are composited on white.

    Raises:
        ValueError: the bytes are not an image.
        MemoryError: there is not enough memory.
    """
    with decoding():
        if encoded.startswith(JPEG):
            return imagecodecs.jpeg8_decode(encoded, outcolorspace="RGB")
        if encoded.startswith(PNG):
            return to_rgb(imagecodecs.png_decode(encoded))
        with Image.open(io.BytesIO(encoded)) as image:
            return image_to_rgb(image)


@contextmanager
def decoding() -> Iterator[None]:
    """Turn any error of a decoder into a ValueError with the reason, or a MemoryError if memory is short."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if _SHORT_OF_MEMORY.search(str(error)):
            raise MemoryError(str(error)) from error
        if isinstance(error, ValueError):
            raise
        raise ValueError(f"not an image: {error}") from error


def decode_into(encoded: bytes, image: np.ndarray) -> None:
    """Decode one image of known size into an array; the pixels are those of `decode`.

    simplejpeg uses the same libjpeg-turbo as imagecodecs, with less overhead and without holding the GIL.

    Args:
        encoded: as for `decode`.
        image: uint8 (height, width, 3), contiguous, written to.

    Raises:
        ValueError: the bytes are not an image.
        UserError: the image has another size.
    """
    try:
        if encoded.startswith(JPEG):
            written = simplejpeg.decode_jpeg(encoded, "RGB", buffer=image, strict=False).shape == image.shape
        else:
            imagecodecs.png_decode(encoded, out=image)
            written = True
    except Exception:
        written = False
    if not written:  # a rare format or no image: the slower path decides
        decoded = decode(encoded)
        if decoded.shape != image.shape:
            raise UserError(
                f"one data set has images of {image.shape[1]}x{image.shape[0]} and of "
                f"{decoded.shape[1]}x{decoded.shape[0]} px: set the data set's image_px to resize all images"
            )
        image[:] = decoded


def encode_jpeg(image: np.ndarray, quality: int, subsampling: str = "444") -> bytes:
    """Encode uint8 (height, width, 3) RGB as JPEG, by default with colour at full resolution."""
    return imagecodecs.jpeg8_encode(np.ascontiguousarray(image), level=quality, subsampling=subsampling)


def encode_png(image: np.ndarray) -> bytes:
    """Encode uint8 (height, width, 3) RGB losslessly."""
    return imagecodecs.png_encode(np.ascontiguousarray(image), level=1)
