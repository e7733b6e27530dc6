"""Where tissue is on a thumbnail."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from gensis.errors import UserError

# Otsu's threshold always splits, so on bare glass it would find noise, and on a slide full of tissue only nuclei:
# it is held between the saturation of noisy glass and that of the palest stroma (of 255).
_SATURATION_RANGE = (8, 20)
# Stained tissue, brown DAB and blood are never greener than red; blue and green ink are.
_INK_GREEN_ABOVE_RED = 15
_RED_INK_SATURATION = 165
_RED_INK_GREEN_TO_BLUE = 0.15
_BLACK_INK_BRIGHTNESS = 45
_INK_MARGIN_PX = 2
_LARGEST_ASPECT_DIFFERENCE = 0.02


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


def read_mask(path: Path, size_level0: tuple[int, int], downsample: float, shape: tuple[int, int]) -> np.ndarray:
    """Read a user's mask of the whole slide, at whatever resolution, as one of a thumbnail's shape.

    Args:
        path: an image file; what is not black is tissue.
        size_level0: width and height of the slide in level-0 px.
        downsample: level-0 px per px of the thumbnail.
        shape: height and width of the thumbnail.

    Returns:
        bool `shape`.

    Raises:
        UserError: the file is missing, is no image, or has not the slide's proportions.
    """
    try:
        with Image.open(path) as image:
            mask = np.asarray(image.convert("L")) > 0
    except FileNotFoundError:
        raise UserError(f"mask {path} does not exist: correct the sheet's column mask") from None
    except UnidentifiedImageError:
        raise UserError(f"mask {path} is not an image: write it as PNG") from None
    height, width = mask.shape
    aspect = (width / height) / (size_level0[0] / size_level0[1])
    if abs(aspect - 1) > _LARGEST_ASPECT_DIFFERENCE:
        raise UserError(
            f"mask {path} has {width} x {height} px and the slide {size_level0[0]} x {size_level0[1]}: "
            "export the mask over the whole slide"
        )
    x, y = ((np.arange(n) + 0.5) * downsample for n in (shape[1], shape[0]))
    columns = np.minimum(x * width / size_level0[0], width - 1).astype(int)
    rows = np.minimum(y * height / size_level0[1], height - 1).astype(int)
    return mask[np.ix_(rows, columns)]
