"""Processing of a large image in bands of rows, so that intermediate arrays take little memory."""

from collections.abc import Callable, Iterator

import numpy as np

_BAND_ROWS = 256


def bands(height: int) -> Iterator[slice]:
    """Rows of an image from top to bottom."""
    return (slice(top, min(top + _BAND_ROWS, height)) for top in range(0, height, _BAND_ROWS))


def map_bands(function: Callable[[np.ndarray], tuple[np.ndarray, ...]], image: np.ndarray, reach_rows: int):
    """Apply a local function to an image band by band, with the same result as for the whole image.

    Args:
        function: returns arrays with as many rows as its argument.
        image: array (H, ...).
        reach_rows: number of rows above and below that affect the result of a row.

    Returns:
        Tuple of arrays (H, ...): the results of `function` for the whole image.
    """
    height = len(image)
    whole: tuple[np.ndarray, ...] = ()
    for rows in bands(height):
        first, last = max(rows.start - reach_rows, 0), min(rows.stop + reach_rows, height)
        parts = function(image[first:last])
        whole = whole or tuple(np.empty((height, *part.shape[1:]), part.dtype) for part in parts)
        for of_whole, part in zip(whole, parts, strict=True):
            of_whole[rows] = part[rows.start - first : rows.stop - first]
    return whole


def count_values(values: np.ndarray, number: int) -> np.ndarray:
    """Counts of the integers 0 to `number` - 1 in values (H, W): int64 (number,)."""
    counts = np.zeros(number, np.int64)
    for rows in bands(len(values)):
        counts += np.bincount(values[rows].ravel(), minlength=number)
    return counts
