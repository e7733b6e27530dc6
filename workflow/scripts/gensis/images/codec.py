"""Images to bytes and back."""

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
_SHORT_OF_MEMORY = re.compile("(out of|insufficient|not enough) memory", re.IGNORECASE)  # as C libraries tell it


def checksum(encoded: bytes) -> int:
    """CRC-32 of an image's bytes: many a flipped bit of a JPEG only decodes to other pixels; this tells every one.

    libdeflate's, which takes 3 us for 40 kB, a fifth of what zlib takes.
    """
    return imagecodecs.deflate_crc32(encoded)


def decode(encoded: bytes) -> np.ndarray:
    """Decode one image.

    Args:
        encoded: a JPEG, a PNG, or any other file that Pillow reads.

    Returns:
        uint8 (height, width, 3), RGB. Transparent areas are laid over white.

    Raises:
        ValueError: the bytes are no image.
        MemoryError: the memory is short.
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
    """Make whatever a decoder raises a ValueError that says why, but a MemoryError where the memory is short."""
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
    """Decode one image of known size to where it is wanted; the pixels are those of `decode`.

    simplejpeg calls the same libjpeg-turbo as imagecodecs, with less around it and without Python's lock.

    Args:
        encoded: as for `decode`.
        image: uint8 (height, width, 3), contiguous, written to.

    Raises:
        ValueError: the bytes are no image.
        UserError: it has another size.
    """
    try:
        if encoded.startswith(JPEG):
            written = simplejpeg.decode_jpeg(encoded, "RGB", buffer=image, strict=False).shape == image.shape
        else:
            imagecodecs.png_decode(encoded, out=image)
            written = True
    except Exception:
        written = False
    if not written:  # a rare kind of image, or none: the slower way knows
        decoded = decode(encoded)
        if decoded.shape != image.shape:
            raise UserError(
                f"images of {image.shape[1]}x{image.shape[0]} and of {decoded.shape[1]}x{decoded.shape[0]} px in one "
                "data set: set its image_px, so that all are resized"
            )
        image[:] = decoded


def encode_jpeg(image: np.ndarray, quality: int, subsampling: str = "444") -> bytes:
    """Encode uint8 (height, width, 3) RGB as JPEG, by default with colour at full resolution."""
    return imagecodecs.jpeg8_encode(np.ascontiguousarray(image), level=quality, subsampling=subsampling)


def encode_png(image: np.ndarray) -> bytes:
    """Encode uint8 (height, width, 3) RGB losslessly."""
    return imagecodecs.png_encode(np.ascontiguousarray(image), level=1)
