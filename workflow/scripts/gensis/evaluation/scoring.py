"""Metrics of a task from its predictions, each with a confidence interval and chance level."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.metrics import METRICS, mean_over_folds
from gensis.evaluation.predictions import Predictions
from gensis.evaluation.weighted import Weighted


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
    draws = {
        (name, suffix): _prepared(name, predictions, found)
        for suffix, found in predictions.probabilities.items()
        for name in names
    }

    def mean(weights: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        return {key: np.mean([metric(weights) for metric in of_draws], axis=0) for key, of_draws in draws.items()}

    bounds = intervals(mean, predictions.group, resamples)
    everything = np.ones((len(predictions.label), 1))
    result = []
    for (name, suffix), of_draws in draws.items():
        plain = np.array([metric(everything)[0] for metric in of_draws])
        low, high = bounds.get((name, suffix), (None, None))
        fields = {"metric": name + suffix, "value": float(plain.mean()), "low": low, "high": high}
        fields |= {"n": len(predictions.label), "chance": METRICS[name].chance(predictions.label, majority)}
        result.append(fields | ({"std": float(plain.std(ddof=1))} if len(plain) > 1 else {}))
    return result


def _prepared(name: str, predictions: Predictions, probabilities: np.ndarray) -> list[Weighted]:
    """A metric of each draw of training labels."""
    metric, labels = METRICS[name], predictions.label
    draws = [probabilities] if probabilities.ndim == 2 else probabilities.swapaxes(0, 1)
    if metric.by_fold:
        return [mean_over_folds(metric.prepare, predictions.fold, labels, draw) for draw in draws]
    return [metric.prepare(labels, draw) for draw in draws]


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
