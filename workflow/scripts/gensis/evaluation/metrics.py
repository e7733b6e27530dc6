"""Classification metrics, each computed for many weightings of the items at once.

A weighting has a weight for each item. Weights of one give the plain metric, counts of bootstrap draws its resamples.
"""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array


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


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "auroc": auroc,
    "quadratic_kappa": quadratic_kappa,
}


def mean_over_folds(
    metric: str, fold: np.ndarray, *, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean of a metric over folds, leaving out folds without a value.

    Ranking metrics need this, since probabilities of the models of different folds have no common scale.

    Args:
        metric: a key of METRICS.
        fold: int (N,): fold of each item.
        labels: int (N,); this and the other arguments as in `accuracy`.
    """
    tested = [fold == number for number in np.unique(fold)]
    values = np.stack([METRICS[metric](labels[own], probabilities[own], weights[own]) for own in tested])
    return _mean_ratio(np.nan_to_num(values), np.isfinite(values).astype(float))


def chance(metric: str, labels: np.ndarray, majority: int) -> float:
    """Chance level of a metric.

    Args:
        metric: a key of METRICS.
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
    always = np.zeros((len(labels), max(labels.max(), majority) + 1))
    always[:, majority] = 1
    return float(METRICS[metric](labels, always, np.ones((len(labels), 1)))[0])


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
