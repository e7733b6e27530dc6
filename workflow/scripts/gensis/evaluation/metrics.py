"""Classification metrics, each computed for many weightings of the items at once.

A weighting has a weight for each item. Weights of one give the plain metric, counts of bootstrap draws its resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

Function = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""int (N,) labels, float (N, K) probabilities and float (N, B) weights -> float (B,)."""


def accuracy(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the items whose most probable class is the true class.

    Args:
        labels: int (N,).
        probabilities: float (N, K).
        weights: float (N, B).

    Returns:
        float (B,), as for all metrics of this module.
    """
    return weights[labels == probabilities.argmax(1)].sum(0) / weights.sum(0)


def balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean recall of the classes that occur."""
    true, _, hits = _counts(labels, probabilities, weights)
    return _mean_ratio(hits, true)


def macro_f1(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean F1 of the classes that occur or are predicted."""
    true, predicted, hits = _counts(labels, probabilities, weights)
    return _mean_ratio(2 * hits, true + predicted)


def auroc(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over classes of the one-vs-rest area under the ROC curve; ties count half."""
    areas = [_concordance(labels == k, probabilities[:, k], weights) for k in range(probabilities.shape[1])]
    concordant, pairs = (np.stack(part) for part in zip(*areas))
    return _mean_ratio(concordant, pairs)


def quadratic_kappa(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cohen's kappa with quadratic weights (Cohen 1968), for ordered classes; NaN if only one class occurs."""
    true, predicted, _ = _counts(labels, probabilities, weights)
    distance = np.square(np.subtract.outer(*[np.arange(len(true))] * 2))
    observed = (weights * np.square(labels - probabilities.argmax(1))[:, None]).sum(0)
    expected = np.einsum("ij,ib,jb->b", distance, true, predicted) / weights.sum(0)
    with np.errstate(invalid="ignore"):
        return 1 - observed / expected


def of_majority(metric: Function) -> Callable[[np.ndarray, int], float]:
    """Chance level that is the value of always predicting the most common class of train."""

    def chance(labels: np.ndarray, majority: int) -> float:
        always = np.zeros((len(labels), max(labels.max(), majority) + 1))
        always[:, majority] = 1
        return float(metric(labels, always, np.ones((len(labels), 1)))[0])

    return chance


@dataclass(frozen=True)
class Metric:
    """A metric of class probabilities."""

    function: Function
    chance: Callable[[np.ndarray, int], float]
    """Its value by chance, given int (N,) labels of the tested items and the most common class of train."""
    by_fold: bool = False
    """Whether it is the mean over folds, since probabilities of the models of different folds have no common scale."""


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, of_majority(accuracy)),
    "balanced_accuracy": Metric(balanced_accuracy, lambda labels, majority: 1 / len(np.unique(labels))),
    "macro_f1": Metric(macro_f1, of_majority(macro_f1)),
    "auroc": Metric(auroc, lambda labels, majority: 0.5, by_fold=True),
    "quadratic_kappa": Metric(quadratic_kappa, lambda labels, majority: 0.0),
}


def mean_over_folds(
    metric: Function, fold: np.ndarray, *, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean of a metric over folds, leaving out folds without a value.

    Args:
        metric: a function such as `auroc`.
        fold: int (N,): fold of each item.
        labels: int (N,); this and the other arguments as in `accuracy`.
        probabilities: float (N, K).
        weights: float (N, B).
    """
    tested = [fold == number for number in np.unique(fold)]
    values = np.stack([metric(labels[own], probabilities[own], weights[own]) for own in tested])
    return _mean_ratio(np.nan_to_num(values), np.isfinite(values).astype(float))


def _counts(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight of each class among labels, among predictions, and among correct predictions: (K, B) each."""
    classes, predictions = probabilities.shape[1], probabilities.argmax(1)
    hit = labels == predictions
    return (
        _sum_by(labels, weights, classes),
        _sum_by(predictions, weights, classes),
        _sum_by(labels[hit], weights[hit], classes),
    )


def _sum_by(codes: np.ndarray, weights: np.ndarray, classes: int) -> np.ndarray:
    """Sum the rows of (N, B) weights that share a code: (K, B)."""
    ones = np.ones(len(codes), weights.dtype)
    return csr_array((ones, (codes, np.arange(len(codes)))), shape=(classes, len(codes))) @ weights


def _concordance(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of pairs of a positive and a negative item with a higher score of the positive (ties half), and of all
    such pairs: (B,) each.
    """
    negative = np.flatnonzero(~positive)
    negative = negative[np.argsort(scores[negative])]
    negatives = scores[negative]
    below = np.zeros((len(negative) + 1, weights.shape[1]), weights.dtype)
    np.cumsum(weights[negative], axis=0, out=below[1:])
    lower = below[np.searchsorted(negatives, scores[positive], "left")]
    not_higher = below[np.searchsorted(negatives, scores[positive], "right")]
    concordant = (weights[positive] * (lower + not_higher)).sum(0) / 2
    return concordant, weights[positive].sum(0) * below[-1]


def _mean_ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Mean of part / whole over classes (axis 0), leaving out classes whose whole is 0; NaN if none remains."""
    present = wholes > 0
    ratios = np.divide(parts, wholes, out=np.zeros_like(parts), where=present)
    with np.errstate(invalid="ignore"):
        return ratios.sum(0) / present.sum(0)
