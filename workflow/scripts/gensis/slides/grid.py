"""Geometry of the tile grid."""

import math

import numpy as np
from scipy import ndimage

from gensis.slides.units import BoundsLevel0, Downsample, Level0Px, LevelPx, RasterPx

_ROUNDING = 1e-6


def tile_origins(
    bounds_level0: BoundsLevel0,
    level_size: tuple[LevelPx, LevelPx],
    *,
    downsample: Downsample,
    width: LevelPx,
    height: LevelPx,
) -> np.ndarray:
    """Top-left corners of all tiles that fit, row by row.

    Tiles begin on whole pixels of the level that is read, since OpenSlide interpolates between pixels, which blurs.
    `round(origin / downsample)` is that pixel. The origin itself is rounded to whole level-0 px, so if the downsample
    is not a whole number (such as 4.0001), OpenSlide still interpolates, by up to 1/8 px of a level four times coarser.
    The reader tiff reads the pixels themselves.

    Args:
        bounds_level0: left, top, right and bottom of the area to cover, in level-0 px.
        level_size: width and height of the level that is read, in its own px.
        downsample: level-0 px per px of that level, at least 1.
        width: width of a tile in px of that level.
        height: height of a tile in px of that level.

    Returns:
        int64 (N, 2): x and y in level-0 px. All tiles are inside the level and, up to rounding to whole level-0 px,
        inside the bounds; no two tiles share a pixel of the level.
    """
    left, top, right, bottom = bounds_level0
    x = _axis(left, right, level_px=level_size[0], downsample=downsample, slack_px=_slack_px(*level_size), size=width)
    y = _axis(
        top,
        bottom,
        level_px=level_size[1],
        downsample=downsample,
        slack_px=_slack_px(*level_size[::-1]),
        size=height,
    )
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def _slack_px(along_px: LevelPx, across_px: LevelPx) -> float:
    """Maximum distance, in px of a level, between the end of the slide and the end of the level along an axis.

    The size of a level is a whole number of px, up to one more or less than the slide's size divided by the level's
    factor. The downsample is the mean of both axes' ratios, so each axis is off by half a px of its own and half a px
    of the other axis, and by more in levels of only a few px.
    """
    return (1 + along_px / across_px) / max(2 - 1 / along_px - 1 / across_px, 0.5)


def _axis(
    begin_level0: Level0Px,
    end_level0: Level0Px,
    *,
    level_px: LevelPx,
    downsample: Downsample,
    slack_px: float,
    size: LevelPx,
) -> np.ndarray:
    begin, end = begin_level0 / downsample, end_level0 / downsample
    # If the bounds end with the slide, use the level's own size: otherwise its last tile could be lost.
    stop = level_px if end >= level_px - slack_px - _ROUNDING else math.floor(end + _ROUNDING)
    stride = math.ceil(size)
    starts = np.arange(math.ceil(begin - _ROUNDING), stop - stride + 1, stride)
    return np.rint(starts * downsample).astype(np.int64)


def coverage(mask: np.ndarray, *, left: np.ndarray, top: np.ndarray, width: RasterPx, height: RasterPx) -> np.ndarray:
    """Fraction of each rectangle's area in which a mask is set, exact even if edges cut through mask pixels.

    Args:
        mask: bool (H, W), taken as False outside.
        left: float (N,), in px of the mask.
        top: float (N,).
        width: of every rectangle, in px of the mask.
        height: of every rectangle.

    Returns:
        float64 (N,), 0 to 1.
    """
    if not mask.any():  # most slides have no pen
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
