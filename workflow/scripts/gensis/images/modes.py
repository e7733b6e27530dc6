"""Conversion of pixels of any bit depth and colour model to 8-bit RGB."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

_BAND_ROWS = 256  # rows converted at a time: the largest images would take gigabytes otherwise
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Convert grey or colour pixels, with or without transparency, to 8-bit RGB.

    Args:
        pixels: uint8 or uint16, (height, width) or (height, width, channels): grey, grey and alpha, RGB or RGBA.
            The upper 8 of 16 bits are kept, as in Pillow: 65535 becomes 255.

    Returns:
        uint8 (height, width, 3); the argument itself if it is 8-bit RGB. Transparent areas are composited on white.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2:] == (3,):
        return pixels
    result = np.empty((*pixels.shape[:2], 3), np.uint8)
    for start in range(0, len(pixels), _BAND_ROWS):
        band = slice(start, start + _BAND_ROWS)
        result[band] = _band_to_rgb(pixels[band])
    return result


def _band_to_rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return pixels.reshape(*pixels.shape[:2], 1)
    if pixels.shape[2] == 3:
        return pixels
    layer = Image.fromarray(pixels).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))


def image_to_rgb(image: Image.Image) -> np.ndarray:
    """Convert a Pillow image as `to_rgb` does; colour profiles are not applied.

    Raises:
        ValueError: the range of the pixel values is unknown, as for floats.
    """
    if image.mode.startswith("I;16"):
        return to_rgb(_full_range(image))
    if image.mode in ("I", "F"):
        kind = "float or 64-bit" if image.mode == "F" else "32-bit or signed"
        raise ValueError(f"{kind} pixels (Pillow mode {image.mode}) have no defined white: save it with 8 or 16 bits")
    return to_rgb(np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB")))


def _full_range(image: Image.Image) -> np.ndarray:
    """Grey of up to 16 bits as uint16, scaled by the TIFF tags so that 65535 is white."""
    tags: Mapping[int, int | tuple[int, ...]] = getattr(image, "tag_v2", {})
    (bits,) = tags.get(_BITS_PER_SAMPLE, (16,))
    values = np.asarray(image).astype(np.uint16) << (16 - bits)
    return ~values if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else values
