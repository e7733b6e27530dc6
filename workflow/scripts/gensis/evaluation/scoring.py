"""Metrics of a task from its predictions, each with a confidence interval and chance level."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.metrics import METRICS, mean_over_folds
from gensis.evaluation.predictions import Predictions


def classification_metrics(
    names: Sequence[str], predictions: Predictions, majority: int, resamples: int
) -> list[dict[str, Any]]:
    """Classification metrics, for each name and each suffix of the predictions.

    Args:
        names: keys of METRICS.
        predictions: predictions of one task.
        majority: the most common class of train.
        resamples: resamples of the bootstrap by group.

    Returns:
        The field `metrics` of a task's JSON.
    """

    def by_draw(name: str, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Metric of each draw of training labels under each weighting: float (R, B)."""
        drawn = probabilities[:, None] if probabilities.ndim == 2 else probabilities
        return np.stack([_measured(name, drawn[:, number], predictions, weights) for number in range(drawn.shape[1])])

    def values(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name + suffix: by_draw(name, probabilities, weights).mean(axis=0) for name, suffix, probabilities in each
        }

    each = [(name, suffix, found) for suffix, found in predictions.probabilities.items() for name in names]
    bounds = intervals(values, predictions.group, resamples)
    result = []
    for name, suffix, probabilities in each:
        plain = by_draw(name, probabilities, np.ones((len(predictions.label), 1)))[:, 0]
        low, high = bounds.get(name + suffix, (None, None))
        fields = {"metric": name + suffix, "value": float(plain.mean()), "low": low, "high": high}
        fields |= {"n": len(predictions.label), "chance": METRICS[name].chance(predictions.label, majority)}
        result.append(fields | ({"std": float(plain.std(ddof=1))} if len(plain) > 1 else {}))
    return result


def _measured(name: str, probabilities: np.ndarray, predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    metric, labels = METRICS[name], predictions.label
    if not metric.by_fold:
        return metric.function(labels, probabilities, weights)
    return mean_over_folds(
        metric.function, predictions.fold, labels=labels, probabilities=probabilities, weights=weights
    )


def mean_scores(
    scores: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], groups: np.ndarray, resamples: int
) -> list[dict[str, Any]]:
    """Mean scores over the items that have a score.

    Args:
        scores: name -> float (n,), NaN for items without a score.
        expected: the same, expected by chance.
        groups: int (n,).
        resamples: resamples of the bootstrap by group.

    Returns:
        The field `metrics` of a task's JSON.
    """

    def values(weights: np.ndarray) -> dict[str, np.ndarray]:
        known = {name: np.isfinite(score)[:, None] * weights for name, score in scores.items()}
        return {name: np.nan_to_num(score) @ known[name] / known[name].sum(axis=0) for name, score in scores.items()}

    bounds = intervals(values, groups, resamples)
    result = []
    for name, value in values(np.ones((len(groups), 1))).items():
        low, high = bounds.get(name, (None, None))
        fields = {"metric": name, "value": float(value[0]), "low": low, "high": high}
        n = int(np.isfinite(scores[name]).sum())
        result.append(fields | {"n": n, "chance": float(np.nanmean(expected[name]))})
    return result
