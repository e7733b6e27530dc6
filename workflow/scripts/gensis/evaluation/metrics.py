"""Classification metrics, each computed for many weightings of the items at once.

A weighting has a weight for each item. Weights of one give the plain metric, counts of bootstrap draws its resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gensis.evaluation.auroc import auroc
from gensis.evaluation.weighted import Cells, PredictionMetric, Weighted, mean_ratio, membership

Prepare = Callable[[np.ndarray, np.ndarray], Weighted]
"""int (N,) labels and float (N, K) probabilities -> the metric for any weights. What does not depend on the weights,
such as sorting, is done once."""


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


@dataclass(frozen=True)
class Metric:
    """A metric of class probabilities."""

    prepare: Prepare
    chance: Callable[[np.ndarray, int], float]
    """Its value by chance, given int (N,) labels of the tested items and the most common class of train."""
    by_fold: bool = False
    """Whether it is the mean over folds, since probabilities of the models of different folds have no common scale."""


@dataclass(frozen=True)
class OfPredictions:
    """A metric that uses only the most probable class: a `Prepare`."""

    metric: PredictionMetric

    def __call__(self, labels: np.ndarray, probabilities: np.ndarray) -> Weighted:
        """See Prepare."""
        cells = Cells(labels, probabilities.argmax(1))
        return lambda weights: cells.measured({"": self.metric}, weights)[""]


def of_majority(prepare: Prepare) -> Callable[[np.ndarray, int], float]:
    """Chance level that is the value of always predicting the most common class of train."""

    def chance(labels: np.ndarray, majority: int) -> float:
        shares = np.zeros(max(labels.max(), majority) + 1)
        shares[majority] = 1
        always = np.broadcast_to(shares, (len(labels), len(shares)))
        return float(prepare(labels, always)(np.ones((len(labels), 1)))[0])

    return chance


METRICS: dict[str, Metric] = {
    "accuracy": Metric(OfPredictions(accuracy), of_majority(OfPredictions(accuracy))),
    "balanced_accuracy": Metric(OfPredictions(balanced_accuracy), lambda labels, majority: 1 / len(np.unique(labels))),
    "macro_f1": Metric(OfPredictions(macro_f1), of_majority(OfPredictions(macro_f1))),
    "auroc": Metric(auroc, lambda labels, majority: 0.5, by_fold=True),
    "quadratic_kappa": Metric(OfPredictions(quadratic_kappa), lambda labels, majority: 0.0),
}


def prepared(
    names: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, fold: np.ndarray
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Several metrics of the same items. Those that use only the most probable class share their sums.

    Args:
        names: keys of METRICS.
        labels: int (N,).
        probabilities: float (N, K).
        fold: int (N,): fold of each item, ascending.

    Returns:
        Function of (N, B) weights: name -> float64 (B,).
    """
    cells = Cells(labels, probabilities.argmax(1))
    merged, others = {}, {}
    for name in names:
        metric = METRICS[name]
        if isinstance(metric.prepare, OfPredictions):
            merged[name] = metric.prepare.metric
        elif metric.by_fold:
            others[name] = mean_over_folds(metric.prepare, fold, labels, probabilities)
        else:
            others[name] = metric.prepare(labels, probabilities)
    return lambda weights: cells.measured(merged, weights) | {name: each(weights) for name, each in others.items()}


def mean_over_folds(prepare: Callable[..., Weighted], fold: np.ndarray, *of_items: Any) -> Weighted:
    """Mean of a metric over folds, leaving out folds without a value.

    Args:
        prepare: function of some items: the metric of these items.
        fold: int (N,): fold of each item, ascending.
        of_items: what it takes of N items each, such as labels and probabilities.
    """
    tested = [slice(*ends) for ends in pairwise([*np.unique(fold, return_index=True)[1], len(fold)])]
    metrics = [prepare(*(each[own] for each in of_items)) for own in tested]

    def measured(weights: np.ndarray) -> np.ndarray:
        values = np.stack([metric(weights[own]) for metric, own in zip(metrics, tested)])
        return mean_ratio(np.nan_to_num(values), np.isfinite(values).astype(float))

    return measured


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
