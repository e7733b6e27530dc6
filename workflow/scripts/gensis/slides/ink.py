"""Detection of marker pen on slides."""

import numpy as np
from scipy import ndimage

from gensis.slides.appearance import REACH_PX, Appearance, look_at
from gensis.slides.bands import bands, map_bands

# Optical densities and their ratios, measured on thumbnails of 8 to 16 um/px.
# Tissue absorbs green most: red / green was at most 1.03 in 99.9 % of the tissue of 31 of 32 slides; blue ink has 1.4.
_COLD_RED_TO_GREEN, _COLD_EXCESS = 1.1, 0.05
# Over tissue, blue ink has nearly the tissue's ratio, but transmits more blue than stains that absorb as much red.
_BLUISH_RED_TO_GREEN, _BLUISH_BLUE_TO_GREEN = 0.75, 0.65
# Red ink transmits red and absorbs blue nearly as much as green; eosin absorbs about half as much blue as green.
_RED_RED_TO_GREEN, _RED_BLUE_TO_GREEN = 0.33, 0.70
_RED_GREEN = 0.6
_FAINTEST = 0.08
_DARK, _BLACK = 0.3, 0.75
_FAINTEST_SATURATION = 12
_MARGIN_PX = 2
# Fraction of the coloured pixels that look like ink: above the first, the slide gets a remark (pen on tissue shows the
# tissue's texture, too); above the second, the colour is taken as stain.
_MUCH, _NEARLY_ALL = 0.3, 0.8
_IN_FOCUS = 0.7
_LOOK = "check the slide's overlay; if it is wrong, draw the tissue in a file for the sheet's column mask"


def find_ink(image: np.ndarray) -> np.ndarray:
    """Pixels coloured by a marker pen (blue, green, red or black), with the halo around them.

    Seeds are pixels that no stain resembles: they absorb red more than green (blue and green ink), are dense, pure red
    and without texture (red), are nearly black (black), or are dark without texture (several inks). Ink is on the cover
    glass and thus out of focus, while dark tissue has nuclei in focus. From the seeds, ink spreads over connected
    pixels that are coloured without texture, pure red, or bluish.

    Alcian blue, Luxol fast blue, and the green and blue of trichrome stains also absorb red most. If nearly all
    coloured pixels look like such ink and are in focus, they are taken as stain.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail; made for 8 to 16 um/px.

    Returns:
        bool (H, W).
    """
    return judge_ink(image, *map_bands(lambda band: _saturated_inked_and_halo(look_at(band)), image, REACH_PX))[0]


def _saturated_inked_and_halo(pixels: Appearance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return pixels.saturation, *inked_and_halo(pixels)


def inked_and_halo(pixels: Appearance, has_blue: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that are ink, bool (H, W), and pixels that are ink if they are connected to ink, bool (H, W).

    Args:
        pixels: of a thumbnail.
        has_blue: whether blue and green are among the inks.
    """
    red, green, blue, lightest = pixels.red, pixels.green, pixels.blue, pixels.least_density
    flat = ~pixels.textured
    visible = green > _FAINTEST
    pure_red = (red < _RED_RED_TO_GREEN * green) & (blue > _RED_BLUE_TO_GREEN * green) & visible
    inked = pure_red & flat & (green > _RED_GREEN) | (lightest > _DARK) & flat | (lightest > _BLACK)
    halo = (pixels.saturation > _FAINTEST_SATURATION) & flat | pure_red
    if has_blue:
        inked |= red > _COLD_RED_TO_GREEN * green + _COLD_EXCESS
        halo |= (red > _BLUISH_RED_TO_GREEN * green) & (blue < _BLUISH_BLUE_TO_GREEN * green) & visible
    return inked, halo


def judge_ink(image: np.ndarray, saturation: np.ndarray, inked: np.ndarray, halo: np.ndarray) -> tuple[np.ndarray, str]:
    """Decide whether pixels that look like ink are ink or the stain of the tissue.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail.
        saturation: uint8 (H, W), of the thumbnail.
        inked: bool (H, W), from `inked_and_halo`.
        halo: bool (H, W), from `inked_and_halo`.

    Returns:
        Ink, bool (H, W), and a remark for the user, empty if the case is clear.
    """
    ink = spread_ink(inked, halo)
    coloured = both = 0
    for rows in bands(len(ink)):
        some = saturation[rows] > _FAINTEST_SATURATION
        coloured, both = coloured + some.sum(), both + (some & ink[rows]).sum()
    share = both / max(coloured, 1)
    if share < _MUCH or not inked.any():
        return ink, ""
    textured = map_bands(lambda band: (look_at(band).textured,), image, REACH_PX)[0]
    if textured[inked].mean() < _IN_FOCUS:
        return ink, ""
    if share < _NEARLY_ALL:
        return ink, f"{share:.0%} of the coloured area is left out as marker ink, although it is in focus: {_LOOK}"
    without_blue = map_bands(lambda band: inked_and_halo(look_at(band), has_blue=False), image, REACH_PX)
    return spread_ink(*without_blue), f"areas as blue or green as ink are taken as stained tissue: {_LOOK}"


def spread_ink(inked: np.ndarray, halo: np.ndarray) -> np.ndarray:
    """Ink, the connected parts of its halo, and a margin: bool (H, W)."""
    labels, count = ndimage.label(halo | inked)
    touched = np.zeros(count + 1, bool)
    for rows in bands(len(labels)):
        touched[labels[rows][inked[rows]]] = True
    side = 2 * _MARGIN_PX + 1
    return ndimage.maximum_filter(touched[labels], side)
