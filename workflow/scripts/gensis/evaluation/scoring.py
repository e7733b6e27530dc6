"""Metrics of a task from its predictions, each with a confidence interval and chance level."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gensis.evaluation.auroc import Auroc
from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.metrics import METRICS, Cells, chance
from gensis.evaluation.predictions import Predictions


def classification_metrics(
    names: Sequence[str], predictions: Predictions, majority: int, resamples: int
) -> list[dict[str, Any]]:
    """Classification metrics, for each name and each suffix of the predictions.

    Args:
        names: keys of METRICS, or `auroc`.
        predictions: predictions of one task.
        majority: the most common class of train.
        resamples: resamples of the bootstrap by group.

    Returns:
        The field `metrics` of a task's JSON.
    """
    models = {
        suffix: [_prepared(names, predictions, draw) for draw in _draws(found)]
        for suffix, found in predictions.probabilities.items()
    }

    def by_draw(weights: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        """Name and suffix of each metric -> its values for each draw under each weighting: float (R, B)."""
        values = {suffix: [model(weights) for model in draws] for suffix, draws in models.items()}
        return {
            (name, suffix): np.stack([of_draw[name] for of_draw in values[suffix]])
            for suffix in models
            for name in names
        }

    bounds = intervals(
        lambda weights: {metric: value.mean(axis=0) for metric, value in by_draw(weights).items()},
        predictions.group,
        resamples,
    )
    result = []
    for (name, suffix), value in by_draw(np.ones((len(predictions.label), 1))).items():
        plain = value[:, 0]
        low, high = bounds.get((name, suffix), (None, None))
        fields = {"metric": name + suffix, "value": float(plain.mean()), "low": low, "high": high}
        fields |= {"n": len(predictions.label), "chance": chance(name, predictions.label, majority)}
        result.append(fields | ({"std": float(plain.std(ddof=1))} if len(plain) > 1 else {}))
    return result


def _draws(probabilities: np.ndarray) -> list[np.ndarray]:
    """Class probabilities of each draw of training labels: float (N, K) each."""
    return [probabilities] if probabilities.ndim == 2 else list(probabilities.swapaxes(0, 1))


def _prepared(
    names: Sequence[str], predictions: Predictions, probabilities: np.ndarray
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Metrics of one model, as a function of float64 (N, B) weights; all that does not depend on them is done once."""
    cells = Cells(predictions.label, probabilities.argmax(1))
    auroc = Auroc(predictions.fold, predictions.label, probabilities) if "auroc" in names else None

    def measured(weights: np.ndarray) -> dict[str, np.ndarray]:
        of_cells = cells.weights(weights)
        counted = {name: METRICS[name](cells.labels, cells.predictions, of_cells) for name in names if name in METRICS}
        return counted | ({"auroc": auroc(weights)} if auroc else {})

    return measured


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
