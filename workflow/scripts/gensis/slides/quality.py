"""Quality of a slide's pixels: pen, blood, fat, white and black on its thumbnail, and focus of a tile."""

import math

import numpy as np
from scipy import ndimage

from gensis.slides.bands import bands, count_values
from gensis.slides.units import Mpp

FRACTIONS = ("pen_fraction", "blood_fraction", "fat_fraction", "white_fraction", "black_fraction")
"""Names of the maps of `find_artifacts`, and of the tiles' scores."""

_WHITE_DARKEST, _WHITE_LARGEST_CHROMA = 205, 16
_BLACK_BRIGHTEST, _BLACK_LARGEST_CHROMA = 60, 30
_BLOOD_GREEN_DENSITY, _BLOOD_RED_TO_GREEN, _BLOOD_BLUE_TO_GREEN = 0.30, 0.40, 0.75
_FAT_AREA_UM2 = (300.0, 31_000.0)
_FAT_ENCLOSED = 0.8
# 4 pi area / border^2, counted in pixels: 0.44 and more for round droplets, less for clefts 3 times as long as wide.
_FAT_ROUNDNESS = 0.4
# Optical density of each of 256 grey levels against white (Ruifrok and Johnston 2001).
_DENSITY = -np.log10(np.maximum(np.arange(256), 1) / 255).astype(np.float32)


def find_artifacts(
    image: np.ndarray, *, tissue: np.ndarray, pen: np.ndarray, pixel_area_um2: float
) -> dict[str, np.ndarray]:
    """Maps of possible artifacts; a pixel may be in several maps.

    Blood-like: dense red-orange without haematoxylin. Haemoglobin absorbs blue (Soret band, 415 nm) as much as green
    and transmits red, while eosin absorbs mostly green and haematoxylin absorbs red too (optical densities: Ruifrok and
    Johnston, Anal. Quant. Cytol. Histol. 23, 2001). Pixels with pen are excluded, since red ink looks the same.

    Fat-like: roundish white droplets of 300 to 31,000 um2, a diameter of 20 to 200 um, surrounded by tissue. White
    adipocytes measure 30 to 50 um, and more than 120 um when full (BioNumbers 107466). Lumina of glands and vessels of
    this shape and size are included, since a thumbnail does not distinguish them from adipocytes. Droplets whose
    membranes are not resolved merge and are missed.

    White: bright and without colour, such as glass, lumina and fat.

    Black: dark and without colour: dirt, edges of bubbles, black ink, unscanned black, very dense folds.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail.
        tissue: bool (H, W), from `gensis.slides.tissue.find_tissue`.
        pen: bool (H, W), from `gensis.slides.ink.find_ink`.
        pixel_area_um2: area of a pixel of the thumbnail.

    Returns:
        bool (H, W) for each of `FRACTIONS`.
    """
    shape = image.shape[:2]
    blood, white, black = (np.empty(shape, bool) for _ in range(3))
    for rows in bands(shape[0]):
        blood[rows] = _is_blood(image[rows])
        white[rows], black[rows] = _is_white_and_black(image[rows])
    fat = _find_fat(white, tissue, pixel_area_um2)
    return dict(zip(FRACTIONS, (pen, blood & ~pen, fat, white, black), strict=True))


def focus(tile: np.ndarray, *, mpp: Mpp, focus_mpp: Mpp) -> float:
    """Sharpness: variance of the Laplacian (Pech-Pacheco et al., ICPR 2000), at one resolution for all slides.

    Computed on the green channel, since haematoxylin and eosin both absorb green.

    Args:
        tile: uint8 (S, S, 3), RGB.
        mpp: its resolution in um/px.
        focus_mpp: resolution in um/px at which focus is measured: the tile is reduced by the nearest integer factor.

    Returns:
        Variance of the 4-neighbour Laplacian of green (0 to 255); NaN if a side has less than 3 px after reduction.
    """
    factor = max(1, round(focus_mpp / mpp))
    green = _reduced(tile[..., 1], factor)
    if min(green.shape) < 3:
        return math.nan
    laplacian = green[1:-1, 1:-1] * np.float32(-4)
    for neighbour in (green[:-2, 1:-1], green[2:, 1:-1], green[1:-1, :-2], green[1:-1, 2:]):
        laplacian += neighbour
    values = laplacian.ravel()
    return float(values.dot(values) / values.size - values.mean() ** 2)


def _reduced(channel: np.ndarray, factor: int) -> np.ndarray:
    """Mean of each whole block of factor x factor px; not rounded, since rounding would increase the variance."""
    height, width = (side // factor * factor for side in channel.shape)
    total = np.min_scalar_type(255 * factor * factor)
    rows = channel[0:height:factor].astype(total)
    for first in range(1, factor):
        rows += channel[first:height:factor]
    blocks = rows[:, 0:width:factor].copy()
    for first in range(1, factor):
        blocks += rows[:, first:width:factor]
    return blocks.astype(np.float32) / np.float32(factor * factor)


def _is_blood(image: np.ndarray) -> np.ndarray:
    red, green, blue = (_DENSITY[image[..., channel]] for channel in range(3))
    orange = blue > _BLOOD_BLUE_TO_GREEN * green
    return (green > _BLOOD_GREEN_DENSITY) & (red < _BLOOD_RED_TO_GREEN * green) & orange


def _is_white_and_black(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    red, green, blue = np.moveaxis(image, -1, 0)
    brightest = np.maximum(np.maximum(red, green), blue)
    darkest = np.minimum(np.minimum(red, green), blue)
    chroma = brightest - darkest
    white = (darkest >= _WHITE_DARKEST) & (chroma <= _WHITE_LARGEST_CHROMA)
    return white, (brightest <= _BLACK_BRIGHTEST) & (chroma <= _BLACK_LARGEST_CHROMA)


def _find_fat(white: np.ndarray, tissue: np.ndarray, pixel_area_um2: float) -> np.ndarray:
    """White islands with the size and shape of an adipocyte, surrounded by tissue."""
    labels, count = ndimage.label(white)
    areas = count_values(labels, count + 1)
    border, enclosed = np.zeros_like(areas), np.zeros_like(areas)
    height = len(white)
    for rows in bands(height):
        reach = slice(max(rows.start - 1, 0), min(rows.stop + 1, height))
        inside = slice(rows.start - reach.start, rows.stop - reach.start)
        around = ndimage.grey_dilation(labels[reach], footprint=np.ones((3, 3)))[inside]
        around[white[rows]] = 0
        border += np.bincount(around.ravel(), minlength=count + 1)
        enclosed += np.bincount(around[tissue[rows]], minlength=count + 1)
    smallest, largest = (area / pixel_area_um2 for area in _FAT_AREA_UM2)
    of_adipocyte_size = (areas >= smallest) & (areas <= largest)
    roundish = 4 * np.pi * areas >= _FAT_ROUNDNESS * border.astype(np.float64) ** 2
    fat = of_adipocyte_size & roundish & (enclosed >= _FAT_ENCLOSED * border)
    fat[0] = False
    return fat[labels]
