"""Metrics of classifications, each over many weightings of the items at once.

A weighting says how often an item counts: all ones give the plain metric, the draws of a bootstrap its resamples.
"""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array


def accuracy(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the items whose likeliest class is the true one.

    Args:
        labels: int (N,).
        probabilities: float (N, K).
        weights: float (N, B).

    Returns:
        float (B,); so for all metrics here.
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
    """Mean over classes of the area under the ROC curve of that class against the rest; ties count half."""
    areas = [_concordance(labels == k, probabilities[:, k], weights) for k in range(probabilities.shape[1])]
    concordant, pairs = (np.stack(part) for part in zip(*areas))
    return _mean_ratio(concordant, pairs)


def quadratic_kappa(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cohen's kappa with quadratic weights (Cohen 1968), for classes in their order; NaN if only one occurs."""
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
    metric: str, fold: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """A metric of each fold's items, averaged over the folds that have one: probabilities of several models have no
    common scale to rank items by.

    Args:
        metric: a key of METRICS.
        fold: int (N,).
        labels: int (N,); this and the others as in `accuracy`.
    """
    tested = [fold == number for number in np.unique(fold)]
    values = np.stack([METRICS[metric](labels[own], probabilities[own], weights[own]) for own in tested])
    return _mean_ratio(np.nan_to_num(values), np.isfinite(values).astype(float))


def chance(metric: str, labels: np.ndarray, majority: int) -> float:
    """What knowing nothing but the commonest class of train gives.

    Args:
        metric: a key of METRICS.
        labels: int (N,) of the tested items.
        majority: the commonest class of train.

    Returns:
        Accuracy and macro F1 of always saying ``majority``; 1 / K for balanced accuracy; 0.5 for the AUROC; 0 for
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
    """Weight of each class among the labels, among the predictions, and where the two agree: (K, B) each."""
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
    """Pairs of a positive and a negative in which the positive scores higher (ties half), and all such pairs: (B,)."""
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
    """Mean over classes (axis 0) of part / whole, leaving out those of which there is nothing; NaN if all are."""
    present = wholes > 0
    ratios = np.divide(parts, wholes, out=np.zeros_like(parts), where=present)
    with np.errstate(invalid="ignore"):
        return ratios.sum(0) / present.sum(0)
