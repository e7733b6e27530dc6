"""Metrics of predicted classes, each computed for many weightings of the items at once.

A weighting has a weight for each item. Weights of one give the plain metric, counts of bootstrap draws its resamples.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.sparse import csc_array


def accuracy(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the items whose predicted class is the true class.

    Args:
        labels: int (N,).
        predictions: int (N,): predicted classes.
        weights: float (N, B).

    Returns:
        float (B,), as for all metrics of this module.
    """
    return weights[labels == predictions].sum(0) / weights.sum(0)


def balanced_accuracy(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean recall of the classes that occur."""
    true, _, hits = _counts(labels, predictions, weights)
    return mean_ratio(hits, true)


def macro_f1(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean F1 of the classes that occur or are predicted."""
    true, predicted, hits = _counts(labels, predictions, weights)
    return mean_ratio(2 * hits, true + predicted)


def quadratic_kappa(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cohen's kappa with quadratic weights (Cohen 1968), for ordered classes; NaN if only one class occurs."""
    true, predicted, _ = _counts(labels, predictions, weights)
    distance = np.square(np.subtract.outer(*[np.arange(len(true))] * 2))
    observed = (weights * np.square(labels - predictions)[:, None]).sum(0)
    expected = np.einsum("ij,ib,jb->b", distance, true, predicted) / weights.sum(0)
    with np.errstate(invalid="ignore"):
        return 1 - observed / expected


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "quadratic_kappa": quadratic_kappa,
}


class Cells:
    """Items merged by true and predicted class: metrics of the cells, with summed weights, are those of the items."""

    def __init__(self, labels: np.ndarray, predictions: np.ndarray):
        """Merge the items of int (N,) labels and predictions."""
        classes = max(labels.max(), predictions.max()) + 1
        pairs, cell = np.unique(labels * classes + predictions, return_inverse=True)
        self.labels, self.predictions = np.divmod(pairs, classes)
        self._sum = membership(cell, len(pairs))

    def weights(self, weights: np.ndarray) -> np.ndarray:
        """Sum float (N, B) weights of the items by cell: (C, B)."""
        return self._sum @ weights


def chance(metric: str, labels: np.ndarray, majority: int) -> float:
    """Chance level of a metric.

    Args:
        metric: a key of METRICS, or `auroc`.
        labels: int (N,) of the tested items.
        majority: the most common class of train.

    Returns:
        Accuracy and macro F1 of always predicting ``majority``; 1 / K for balanced accuracy; 0.5 for AUROC; 0 for
        kappa.
    """
    if metric == "quadratic_kappa":
        return 0.0
    if metric == "auroc":
        return 0.5
    if metric == "balanced_accuracy":
        return 1 / len(np.unique(labels))
    return float(METRICS[metric](labels, np.full_like(labels, majority), np.ones((len(labels), 1)))[0])


def _counts(
    labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight of each class among labels, among predictions, and among correct predictions: (K, B) each."""
    classes, hit = max(labels.max(), predictions.max()) + 1, labels == predictions
    return (
        membership(labels, classes) @ weights,
        membership(predictions, classes) @ weights,
        membership(labels[hit], classes) @ weights[hit],
    )


def membership(codes: np.ndarray, count: int) -> csc_array:
    """Sparse matrix (count, N) whose product with (N, B) weights sums those that share a code of 0 to ``count`` - 1."""
    ones, starts = _one_a_column(len(codes))
    return csc_array((ones, codes.astype(np.int32), starts), shape=(count, len(codes)))


@lru_cache(maxsize=4)
def _one_a_column(columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and starts of the columns, which matrices of the same size share: AUROC has one for each class."""
    return np.ones(columns), np.arange(columns + 1, dtype=np.int32)


def mean_ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Mean of part / whole over classes (axis 0), leaving out classes whose whole is 0; NaN if none remains."""
    present = wholes > 0
    ratios = np.divide(parts, wholes, out=np.zeros_like(parts), where=present)
    with np.errstate(invalid="ignore"):
        return ratios.sum(0) / present.sum(0)
