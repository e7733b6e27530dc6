"""Metrics of a task from its predictions, each with a confidence interval and chance level."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.metrics import METRICS, prepared
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
    order = _order(predictions)
    label, fold = predictions.label[order], predictions.fold[order]
    draws = {
        suffix: [prepared(names, label, draw, fold) for draw in _draws(found[order])]
        for suffix, found in predictions.probabilities.items()
    }

    def values(weights: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        """Name and suffix -> (R, B) values of R draws."""
        found = {suffix: [draw(weights) for draw in of_suffix] for suffix, of_suffix in draws.items()}
        return {(name, suffix): np.stack([draw[name] for draw in found[suffix]]) for suffix in found for name in names}

    def means(weights: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        return {key: value.mean(axis=0) for key, value in values(weights).items()}

    bounds = intervals(means, predictions.group[order], resamples)
    result = []
    for (name, suffix), plain in values(np.ones((len(label), 1))).items():
        low, high = bounds.get((name, suffix), (None, None))
        fields = {"metric": name + suffix, "value": float(plain.mean()), "low": low, "high": high}
        fields |= {"n": len(label), "chance": METRICS[name].chance(label, majority)}
        result.append(fields | ({"std": float(plain.std(ddof=1))} if len(plain) > 1 else {}))
    return result


def _order(predictions: Predictions) -> np.ndarray:
    """The items of each fold in the order of a score, in which AUROC adds them: then it adds neighbours in memory."""
    score = next(iter(predictions.probabilities.values())).reshape(len(predictions.fold), -1)[:, 0]
    return np.lexsort((score, predictions.fold))


def _draws(probabilities: np.ndarray) -> list[np.ndarray]:
    """Class probabilities (N, K) of each draw of training labels."""
    return [probabilities] if probabilities.ndim == 2 else list(probabilities.swapaxes(0, 1))


def number_metrics(
    metrics: Mapping[str, Weighted], chance: Mapping[str, float], groups: np.ndarray, resamples: int
) -> list[dict[str, Any]]:
    """Metrics of predicted numbers.

    Args:
        metrics: name -> the metric of n items for any weights.
        chance: name -> its value by chance.
        groups: int (n,).
        resamples: resamples of the bootstrap by group.

    Returns:
        The field `metrics` of a task's JSON.
    """

    def values(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {name: metric(weights) for name, metric in metrics.items()}

    bounds = intervals(values, groups, resamples)
    result = []
    for name, (value,) in values(np.ones((len(groups), 1))).items():
        low, high = bounds.get(name, (None, None))
        fields = {"metric": name, "value": float(value), "low": low, "high": high}
        result.append(fields | {"n": len(groups), "chance": chance[name]})
    return result


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
