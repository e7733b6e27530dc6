"""Sums of items under many weightings at once."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from scipy.sparse import csc_array

Weighted = Callable[[np.ndarray], np.ndarray]
"""int32 or float64 (N, B) weights of the items -> a metric for each weighting, float64 (B,)."""
PredictionMetric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""int (N,) labels, int (N,) predicted classes and float64 (N, B) weights -> a metric, float64 (B,)."""


class Cells:
    """Items merged by true and predicted class. Their metrics are those of the items, as fast as for K^2 items."""

    def __init__(self, labels: np.ndarray, predictions: np.ndarray):
        """Merge the items of int (N,) labels and predictions."""
        classes = max(labels.max(), predictions.max()) + 1
        pairs, cell = np.unique(labels * classes + predictions, return_inverse=True)
        self._labels, self._predictions = np.divmod(pairs, classes)
        self._sums = membership(cell, len(pairs))

    def measured(self, metrics: Mapping[str, PredictionMetric], weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each metric for (N, B) weights of the items: float64 (B,)."""
        sums = (self._sums @ weights).astype(np.float64)
        return {name: metric(self._labels, self._predictions, sums) for name, metric in metrics.items()}


def membership(codes: np.ndarray, count: int) -> csc_array:
    """Sparse matrix (count, N) whose product with (N, B) weights sums those that share a code of 0 to ``count`` - 1."""
    ones, starts = _one_a_column(len(codes))
    return csc_array((ones, codes.astype(np.int32), starts), shape=(count, len(codes)))


@lru_cache(maxsize=4)
def _one_a_column(columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and starts of the columns, which matrices of the same size share: AUROC has one for each class."""
    return np.ones(columns, np.int32), np.arange(columns + 1, dtype=np.int32)


def mean_ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Mean of part / whole over classes (axis 0), leaving out classes whose whole is 0; NaN if none remains."""
    present = wholes > 0
    ratios = np.divide(parts, wholes, out=np.zeros(parts.shape), where=present)
    with np.errstate(invalid="ignore"):
        return ratios.sum(0) / present.sum(0)
