"""Where somebody drew on a slide with a marker pen."""

import numpy as np
from scipy import ndimage

from gensis.slides.appearance import REACH_PX, Appearance, look_at
from gensis.slides.bands import bands, map_bands

# Optical densities and their ratios, found on thumbnails of 8 to 16 um/px.
# Tissue absorbs green most: red / green was at most 1.03 in 99.9 % of the tissue of 31 of 32 slides, blue ink has 1.4.
_COLD_RED_TO_GREEN, _COLD_EXCESS = 1.1, 0.05
# Over tissue, blue ink comes near the tissue's own ratio, but lets more blue pass than stains do beside so much red.
_BLUISH_RED_TO_GREEN, _BLUISH_BLUE_TO_GREEN = 0.75, 0.65
# Red ink lets red pass, and absorbs blue nearly as it does green; eosin absorbs about half as much blue.
_RED_RED_TO_GREEN, _RED_BLUE_TO_GREEN = 0.33, 0.70
_RED_GREEN = 0.6
_FAINTEST = 0.08
_DARK, _BLACK = 0.3, 0.75
_FAINTEST_SATURATION = 12
_MARGIN_PX = 2


def find_ink(image: np.ndarray) -> np.ndarray:
    """Pixels coloured by a marker pen (blue, green, red or black), with the halo around them.

    Ink begins where no stain looks like it: where it absorbs red more than green (blue, green), is dense, pure red and
    without texture (red), nearly black (black), or dark without texture (several pens on each other). Ink lies on the
    cover glass, out of focus, where dark tissue has nuclei in focus. From there it spreads over what touches it and is
    coloured without texture, pure red, or bluish.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail; made for 8 to 16 um/px.

    Returns:
        bool (H, W).
    """
    return spread_ink(*map_bands(lambda band: inked_and_halo(look_at(band)), image, REACH_PX))


def inked_and_halo(pixels: Appearance) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that are ink (bool (H, W)), and those that are if they touch some (bool (H, W))."""
    red, green, blue, lightest = pixels.red, pixels.green, pixels.blue, pixels.least_density
    flat = ~pixels.textured
    visible = green > _FAINTEST
    cold = red > _COLD_RED_TO_GREEN * green + _COLD_EXCESS
    bluish = (red > _BLUISH_RED_TO_GREEN * green) & (blue < _BLUISH_BLUE_TO_GREEN * green) & visible
    pure_red = (red < _RED_RED_TO_GREEN * green) & (blue > _RED_BLUE_TO_GREEN * green) & visible
    dark = (lightest > _DARK) & flat | (lightest > _BLACK)
    coloured = pixels.saturation > _FAINTEST_SATURATION
    return cold | pure_red & flat & (green > _RED_GREEN) | dark, coloured & flat | pure_red | bluish


def spread_ink(inked: np.ndarray, halo: np.ndarray) -> np.ndarray:
    """Ink, the parts of its halo that touch it, and a margin: bool (H, W)."""
    labels, count = ndimage.label(halo | inked)
    touched = np.zeros(count + 1, bool)
    for rows in bands(len(labels)):
        touched[labels[rows][inked[rows]]] = True
    side = 2 * _MARGIN_PX + 1
    return ndimage.maximum_filter(touched[labels], side)
