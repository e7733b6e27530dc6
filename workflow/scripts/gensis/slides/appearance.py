"""Appearance of a thumbnail's pixels: optical density, saturation and texture.

Optical density is the negative decimal logarithm of transmitted light. It is additive where stains and inks overlap
(Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23, 2001).
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_SMOOTHING_PX, _SMOOTHING_REACH_PX = 1.0, 3
_TEXTURE_PX, _TEXTURE_REACH_PX = 1.5, 4
REACH_PX = _SMOOTHING_REACH_PX + _TEXTURE_REACH_PX
"""Distance up to which other pixels affect a pixel's appearance."""
# Local standard deviation of grey levels (0 to 255). On thumbnails of 8 to 16 um/px, 99.9 % of the tissue of 12 slides
# was above 3.9, and most ink on glass, which is out of focus, below 2.
_LEAST_TEXTURE = 3.0
_LUMA = (np.float32(0.299), np.float32(0.587), np.float32(0.114))


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Appearance of each pixel of an image; float32 (H, W) unless stated."""

    red: np.ndarray
    """Optical density of red light, after smoothing."""
    green: np.ndarray
    blue: np.ndarray
    saturation: np.ndarray
    """uint8 (H, W), saturation of the HSV model, rounded down."""
    textured: np.ndarray
    """bool (H, W): whether there is detail in focus around the pixel."""

    @property
    def least_density(self) -> np.ndarray:
        """Optical density of the colour channel that transmits most light."""
        return np.minimum(np.minimum(self.red, self.green), self.blue)


def look_at(image: np.ndarray) -> Appearance:
    """Appearance of uint8 (H, W, 3), RGB."""
    detail = np.zeros(image.shape[:2], np.float32)
    channels = []
    for channel, weight in enumerate(_LUMA):
        sharp = image[..., channel].astype(np.float32)
        channels.append(ndimage.gaussian_filter(sharp, _SMOOTHING_PX, radius=_SMOOTHING_REACH_PX))
        detail += weight * (sharp - channels[-1])
    brightest = np.maximum(np.maximum(channels[0], channels[1]), channels[2])
    darkest = np.minimum(np.minimum(channels[0], channels[1]), channels[2])
    saturation = (255 * (brightest - darkest) / np.maximum(brightest, 1)).astype(np.uint8)
    texture = ndimage.gaussian_filter(detail * detail, _TEXTURE_PX, radius=_TEXTURE_REACH_PX)
    red, green, blue = (-np.log10(np.maximum(channel, 1) / 255) for channel in channels)
    textured = texture > _LEAST_TEXTURE**2
    return Appearance(red=red, green=green, blue=blue, saturation=saturation, textured=textured)
