"""Geometry of the tile grid: numbers and arrays only."""

import math

import numpy as np
from scipy import ndimage

_ROUNDING = 1e-6


def tile_origins(
    bounds_level0: tuple[int, int, int, int],
    level_size: tuple[int, int],
    downsample: float,
    width: float,
    height: float,
) -> np.ndarray:
    """Top-left corners of all tiles that fit, row by row.

    Tiles begin on whole pixels of the level that is read: between two of them OpenSlide interpolates, which blurs.
    `round(origin / downsample)` gives that pixel back.

    Args:
        bounds_level0: left, top, right and bottom of the area to cover, in level-0 px.
        level_size: width and height of the level that is read, in its own px.
        downsample: level-0 px per px of that level, at least 1.
        width: width of a tile in px of that level.
        height: height of a tile in px of that level.

    Returns:
        int64 (N, 2): x and y in level-0 px. No tile leaves the level, nor the bounds by more than rounding to whole
        level-0 px brings about; no two share a pixel of the level.
    """
    left, top, right, bottom = bounds_level0
    x = _axis(left, right, level_size[0], downsample, _slack_px(*level_size), width)
    y = _axis(top, bottom, level_size[1], downsample, _slack_px(*reversed(level_size)), height)
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def _slack_px(along_px: int, across_px: int) -> float:
    """How far, in px of a level, the slide's end and the level's may lie apart along an axis.

    A level is a whole number of px, up to one more or less than the slide divided by the level's factor, and the
    downsample is the mean of both axes' quotients: each axis is half an own px and half a px of the other off, and more
    where these are a large part of a level of a few px.
    """
    return (1 + along_px / across_px) / max(2 - 1 / along_px - 1 / across_px, 0.5)


def _axis(
    begin_level0: int, end_level0: int, level_px: int, downsample: float, slack_px: float, size: float
) -> np.ndarray:
    begin, end = begin_level0 / downsample, end_level0 / downsample
    # Where the bounds end with the slide, the level's own last pixel counts: else its last tile could be lost.
    stop = level_px if end >= level_px - slack_px - _ROUNDING else math.floor(end + _ROUNDING)
    stride = math.ceil(size)
    starts = np.arange(math.ceil(begin - _ROUNDING), stop - stride + 1, stride)
    return np.rint(starts * downsample).astype(np.int64)


def coverage(mask: np.ndarray, left: np.ndarray, top: np.ndarray, width: float, height: float) -> np.ndarray:
    """Fraction of each rectangle's area in which a mask is set, exact also where edges cut through mask pixels.

    Args:
        mask: bool (H, W); outside nothing is set.
        left: float (N,), in px of the mask.
        top: float (N,).
        width: of every rectangle, in px of the mask.
        height: of every rectangle.

    Returns:
        float64 (N,), 0 to 1.
    """
    if not mask.any():  # as most slides have no pen
        return np.zeros(len(left))
    # The integral image is linear between its nodes along each axis, so linear interpolation of it is exact.
    integral = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    inner = integral[1:, 1:]
    np.cumsum(mask, axis=0, out=inner)
    np.cumsum(inner, axis=1, out=inner)

    def upto(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return ndimage.map_coordinates(integral, [y, x], np.float64, order=1, mode="nearest")

    right, bottom = left + width, top + height
    area = upto(right, bottom) - upto(left, bottom) - upto(right, top) + upto(left, top)
    return np.clip(area / (width * height), 0, 1)
