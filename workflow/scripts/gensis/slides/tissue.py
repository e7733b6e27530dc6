"""Tissue detection on a thumbnail."""

import numpy as np
from scipy import ndimage

from gensis.slides.appearance import REACH_PX, Appearance, look_at
from gensis.slides.bands import bands, count_values, map_bands
from gensis.slides.ink import inked_and_halo, judge_ink

# Otsu's threshold always splits: on bare glass it would select noise, and on a slide full of tissue only nuclei.
# It is clipped to between the saturation of noisy glass and that of the palest stroma (of 255).
_SATURATION_RANGE = (8, 20)
# Optical density of tissue with hardly any colour.
_GREY_DENSITY = 0.12
# An edge between flat greys looks textured up to this width; patches that are no wider are edges, lines and dirt.
_NARROWEST_GREY_PX = 2 * REACH_PX + 1


def find_tissue(
    image: np.ndarray, *, pixel_area_um2: float, minimum_area_um2: float
) -> tuple[np.ndarray, np.ndarray, str]:
    """Distinguish tissue from glass and ink.

    Tissue is more saturated than glass (Otsu's threshold), or dark and with texture, and is not ink.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail whose glass is grey; made for 8 to 16 um/px.
        pixel_area_um2: area of a pixel of the thumbnail.
        minimum_area_um2: smaller islands are dropped; smaller holes are filled unless they contain ink.

    Returns:
        Tissue, bool (H, W); ink, bool (H, W), as from `gensis.slides.ink.find_ink`; and a remark for the user, empty
        if the case is clear.
    """
    saturation, grey, inked, halo = map_bands(_first_look, image, REACH_PX)
    ink, remark = judge_ink(image, saturation, inked, halo)
    del inked, halo
    tissue = (saturation > _threshold(saturation, ink)) & ~ink
    grey = (grey | tissue) & ~ink
    tissue |= _opened(grey, _NARROWEST_GREY_PX)
    minimum_px = minimum_area_um2 / pixel_area_um2
    tissue = ~_without_small_islands(~tissue, minimum_px) & ~ink
    return _without_small_islands(tissue, minimum_px), ink, remark


def _first_look(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Saturation (uint8), dark and textured pixels, ink, and its possible halo (bool), each (H, W)."""
    pixels: Appearance = look_at(image)
    grey = (pixels.least_density > _GREY_DENSITY) & pixels.textured
    return pixels.saturation, grey, *inked_and_halo(pixels)


def _threshold(saturation: np.ndarray, ink: np.ndarray) -> float:
    """Saturation above which a pixel is tissue."""
    counts = np.zeros(256, np.int64)
    for rows in bands(len(saturation)):
        counts += np.bincount(saturation[rows][~ink[rows]], minlength=256)
    return float(np.clip(otsu_threshold(counts), *_SATURATION_RANGE))


def otsu_threshold(counts: np.ndarray) -> int:
    """Otsu's threshold (1979): the split with the largest variance between the classes.

    Args:
        counts: int (256,), number of occurrences of each value.

    Returns:
        The largest value of the lower class.
    """
    below, total = counts.cumsum(dtype=np.float64), float(counts.sum())
    weighted = (counts * np.arange(256.0)).cumsum()
    product = below * (total - below)
    between = (weighted[-1] * below - total * weighted) ** 2 / np.where(product > 0, product, np.inf)
    return int(between.argmax())


def _opened(mask: np.ndarray, side_px: int) -> np.ndarray:
    """Morphological opening: the parts of a mask in which a square of `side_px` fits."""
    return ndimage.maximum_filter(ndimage.minimum_filter(mask, side_px), side_px)


def _without_small_islands(mask: np.ndarray, minimum_px: float) -> np.ndarray:
    labels, count = ndimage.label(mask)
    keep = count_values(labels, count + 1) >= minimum_px
    keep[0] = False
    return keep[labels]
