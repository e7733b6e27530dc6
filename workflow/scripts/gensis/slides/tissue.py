"""Where tissue is on a thumbnail."""

import numpy as np
from scipy import ndimage

# Otsu's threshold always splits, so on bare glass it would find noise, and on a slide full of tissue only nuclei:
# it is held between the saturation of noisy glass and that of the palest stroma (of 255).
_SATURATION_RANGE = (8, 20)
# Stained tissue, brown DAB and blood are never greener than red; blue and green ink are.
_INK_GREEN_ABOVE_RED = 15
_RED_INK_SATURATION = 165
_RED_INK_GREEN_TO_BLUE = 0.15
_BLACK_INK_BRIGHTNESS = 45
_INK_MARGIN_PX = 2


def find_tissue(image: np.ndarray, pixel_area_um2: float, minimum_area_um2: float) -> np.ndarray:
    """Tell tissue from glass and ink by colour.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail.
        pixel_area_um2: area of one of its pixels.
        minimum_area_um2: smaller islands are dropped, smaller holes filled.

    Returns:
        bool (H, W).
    """
    smooth = ndimage.gaussian_filter(image.astype(np.float32), (1, 1, 0))
    saturation = _saturation(smooth)
    ink = find_ink(smooth)
    threshold = np.clip(otsu_threshold(saturation[~ink]), *_SATURATION_RANGE)
    minimum_px = minimum_area_um2 / pixel_area_um2
    tissue = (saturation > threshold) & ~ink
    tissue = ~_without_small_islands(~tissue, minimum_px) & ~ink
    return _without_small_islands(tissue, minimum_px)


def find_ink(image: np.ndarray) -> np.ndarray:
    """Pixels coloured by a marker pen (blue, green, red or black), with the halo around them.

    Args:
        image: float32 (H, W, 3), RGB of 0 to 255, smoothed.

    Returns:
        bool (H, W).
    """
    red, green, blue = np.moveaxis(image, -1, 0)
    saturation = _saturation(image)
    cold = green - red > _INK_GREEN_ABOVE_RED
    # Red ink has hardly more blue than green, nor less: eosin keeps more blue, brown DAB more green.
    pure_red = np.abs(green - blue) < _RED_INK_GREEN_TO_BLUE * (red - np.minimum(green, blue))
    halo = pure_red & (saturation > _SATURATION_RANGE[0])
    scarlet = ndimage.binary_propagation(halo & (saturation > _RED_INK_SATURATION), mask=halo)
    black = image.max(-1) < _BLACK_INK_BRIGHTNESS
    return ndimage.binary_dilation(cold | scarlet | black, iterations=_INK_MARGIN_PX)


def _saturation(image: np.ndarray) -> np.ndarray:
    """Saturation of the HSV model, 0 to 255."""
    brightness = image.max(-1)
    return 255 * (brightness - image.min(-1)) / np.maximum(brightness, 1)


def otsu_threshold(values: np.ndarray) -> float:
    """Otsu's threshold (1979) of values from 0 to 255: the split with the largest variance between the classes."""
    counts = np.bincount(values.astype(np.uint8).ravel(), minlength=256).astype(np.float64)
    below, total = counts.cumsum(), counts.sum()
    sum_below, sum_all = (counts * np.arange(256)).cumsum(), (counts * np.arange(256)).sum()
    product = below * (total - below)
    between = (sum_all * below - total * sum_below) ** 2 / np.where(product > 0, product, np.inf)
    return float(between.argmax())


def _without_small_islands(mask: np.ndarray, minimum_px: float) -> np.ndarray:
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    keep = sizes >= minimum_px
    keep[0] = False
    return keep[labels]
