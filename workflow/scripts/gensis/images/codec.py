"""Images to bytes and back."""

import io

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image

from gensis.errors import UserError

JPEG, PNG = b"\xff\xd8", b"\x89PNG"


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
    """
    try:
        if encoded.startswith(JPEG):
            return imagecodecs.jpeg8_decode(encoded, outcolorspace="RGB")
        if encoded.startswith(PNG):
            image = imagecodecs.png_decode(encoded)
            if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
                return image
        return _decode_with_pillow(encoded)
    except Exception as error:
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


def _decode_with_pillow(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            layer = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return np.asarray(image.convert("RGB"))


def encode_jpeg(image: np.ndarray, quality: int, subsampling: str = "444") -> bytes:
    """Encode uint8 (height, width, 3) RGB as JPEG, by default with colour at full resolution."""
    return imagecodecs.jpeg8_encode(np.ascontiguousarray(image), level=quality, subsampling=subsampling)


def encode_png(image: np.ndarray) -> bytes:
    """Encode uint8 (height, width, 3) RGB losslessly."""
    return imagecodecs.png_encode(np.ascontiguousarray(image), level=1)
