"""Accuracy of the mask of an object, as the benchmark DAVIS defines it (Perazzi et al. 2016, section 5)."""

import math

import numpy as np
from scipy.ndimage import distance_transform_edt

_TOLERANCE = 0.008  # of the image's diagonal


def region_similarity(found: np.ndarray, true: np.ndarray) -> float:
    """J: intersection over union of two masks, bool (H, W); 1 if both are empty."""
    union = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / union if union else 1.0


def contour_accuracy(found: np.ndarray, true: np.ndarray) -> float:
    """F: harmonic mean of precision and recall of the contour's pixels, with a tolerance of 0.8 % of the diagonal.

    Args:
        found: bool (H, W).
        true: bool (H, W).

    Returns:
        1 if neither mask has a contour, and 0 if only one has.
    """
    radius_px = math.ceil(_TOLERANCE * math.hypot(*true.shape))
    contours = contour(found), contour(true)
    if not all(each.any() for each in contours):
        return float(not any(each.any() for each in contours))
    box = _box(contours[0] | contours[1], radius_px)
    ours, theirs = (each[box] for each in contours)
    precision, recall = _share_near(ours, theirs, radius_px), _share_near(theirs, ours, radius_px)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def contour(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one to the right, below, or both: bool (H, W). At the border the last repeats."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])


def _share_near(pixels: np.ndarray, others: np.ndarray, radius_px: int) -> float:
    """Share of some pixels that lie at most a radius away from others."""
    return float((distance_transform_edt(~others)[pixels] <= radius_px).mean())


def _box(pixels: np.ndarray, margin_px: int) -> tuple[slice, slice]:
    """Rows and columns that hold all pixels, and a margin."""
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return tuple(slice(max(each[0] - margin_px, 0), each[-1] + margin_px + 1) for each in (rows, columns))
