"""Results of a task, from class probabilities or from scores of its items."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gensis.evaluation.bags import Slides
from gensis.evaluation.concordance import concordance
from gensis.evaluation.data import TaskData
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.metrics import mean_over_folds
from gensis.evaluation.predictions import Attention, Predictions
from gensis.evaluation.regression import mean_absolute_error, pearson, r2
from gensis.evaluation.scoring import classification_metrics, mean_scores, number_metrics
from gensis.evaluation.weighted import Weighted

log = logging.getLogger(__name__)

Probabilities = dict[str, np.ndarray]
"""Suffix of a metric's name (``_k20``, or empty) -> class probabilities of the tested items: float (n, K), or (n, R, K)
for R draws of training labels, over which metrics are averaged."""


@dataclass(frozen=True)
class Measured:
    """Results of a task."""

    result: dict[str, Any]
    """The fields of evaluation/<...>/<task>.json that hold results (docs/artifacts.md)."""
    predictions: Predictions
    attention: Attention = field(default_factory=dict)


def classified(data: TaskData, probabilities: Probabilities, attention: Attention | None = None) -> Measured:
    """Results of a classifier: the task's metrics of the class probabilities of ``data.protocol.test``."""
    predictions = _predictions(data, probabilities, {})
    metrics = classification_metrics(_names(data), predictions, data.commonest_class, data.settings.bootstrap)
    unlearnt = data.protocol.unlearnt(data.items.labels)
    return Measured(_result(data, predictions, unlearnt, metrics), predictions, attention or {})


def scored(
    data: TaskData, scores: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], unlearnt: np.ndarray
) -> Measured:
    """Results of a task that scores items: mean scores.

    Args:
        data: what the task is measured on.
        scores: metric -> float (n,) of the items of ``data.protocol.test``, NaN for items without a score.
        expected: the same, expected by chance.
        unlearnt: classes of tested items that no prediction can be correct for, int.
    """
    predictions = _predictions(data, {}, scores)
    metrics = mean_scores(scores, expected, predictions.group, data.settings.bootstrap)
    return Measured(_result(data, predictions, unlearnt, metrics), predictions)


def predicted_risk(data: TaskData, risk: np.ndarray, attention: Attention | None = None) -> Measured:
    """Results of a task that predicts survival.

    Concordance is the mean over folds, since risks of the models of different folds have no common scale.

    Args:
        data: what the task is measured on.
        risk: float (n,) of the items of ``data.protocol.test``.
        attention: of these items, if the task has attention.

    Raises:
        Unmeasurable: no two tested items of a fold are comparable.
    """
    survival = data.survival[data.protocol.test]
    measured = mean_over_folds(concordance, data.protocol.fold, survival, risk)
    if np.isnan(measured(np.ones((len(risk), 1)))).all():
        raise Unmeasurable("no tested item is known to outlive another one that had the event")
    found = _numbers(data, {"concordance": (measured, 0.5)}, time=survival.time, event=survival.event, risk=risk)
    return replace(found, result=found.result | {"events": int(survival.event.sum())}, attention=attention or {})


def predicted_values(data: TaskData, estimates: np.ndarray, attention: Attention | None = None) -> Measured:
    """Results of a task that predicts numbers. By chance the mean of the training items is predicted.

    Args:
        data: what the task is measured on.
        estimates: float (n,) of the items of ``data.protocol.test``.
        attention: of these items, if the task has attention.

    Raises:
        Unmeasurable: all tested items have the same value.
    """
    protocol, values = data.protocol, data.values[data.protocol.test]
    means = np.concatenate([np.full(len(test), data.values[train].mean()) for train, test in protocol.rounds])
    if np.ptp(values) == 0:
        raise Unmeasurable("all tested values are equal")
    once = np.ones((len(values), 1))
    metrics = {
        "r2": (r2(values, estimates), float(r2(values, means)(once)[0])),
        # By fold, since estimates of all folds together are correlated negatively with held-out values by chance.
        "pearson": (mean_over_folds(pearson, protocol.fold, values, estimates), 0.0),
        "mae": (mean_absolute_error(values, estimates), float(mean_absolute_error(values, means)(once)[0])),
    }
    found = _numbers(data, metrics, value=values, estimate=estimates)
    return replace(found, attention=attention or {})


def _numbers(data: TaskData, metrics: Mapping[str, tuple[Weighted, float]], **stored: np.ndarray) -> Measured:
    """Results with metrics, each with its value by chance, and predictions with the numbers to store."""
    predictions = replace(_predictions(data, {}, stored), classes=())
    of_items, chance = ({name: each[i] for name, each in metrics.items()} for i in range(2))
    numbers = number_metrics(of_items, chance, predictions.group, data.settings.bootstrap)
    return Measured(_result(data, predictions, np.arange(0), numbers), predictions)


def _names(data: TaskData) -> tuple[str, ...]:
    """The task's metrics, without `quadratic_kappa` if the classes have no order; the reason is logged."""
    ordered, classes = set(data.settings.ordered_classes), set(data.items.classes)
    if classes <= ordered or "quadratic_kappa" not in data.task.metrics:
        return data.task.metrics
    if ordered:
        missing, unused = (", ".join(sorted(each)) for each in (classes - ordered, ordered - classes))
        more = f"; without images: {unused}" if unused else ""
        log.info("%s: no quadratic kappa: ordered_classes lacks %s%s", data.name, missing, more)
    return tuple(name for name in data.task.metrics if name != "quadratic_kappa")


def _predictions(data: TaskData, probabilities: Probabilities, scores: Mapping[str, np.ndarray]) -> Predictions:
    items, test = data.items, data.protocol.test
    names = tuple(items.name(i) for i in test) if isinstance(items, Slides) else None
    return Predictions(
        classes=items.classes,
        item=items.item[test],
        group=items.groups[test],
        fold=data.protocol.fold,
        label=items.labels[test],
        probabilities=probabilities,
        scores=scores,
        names=names,
    )


def _result(
    data: TaskData, predictions: Predictions, unlearnt: np.ndarray, metrics: list[dict[str, Any]]
) -> dict[str, Any]:
    items, protocol = data.items, data.protocol
    return {
        "protocol": protocol.name,
        "transductive": protocol.transductive,
        "unlabelled_test": items.has_test and protocol.transductive,
        "classes": list(predictions.classes),
        "unlearnt_classes": [predictions.classes[k] for k in unlearnt],
        "n": len(predictions.item),
        "n_groups": len(np.unique(predictions.group)),
        "n_ungrouped": int((~items.grouped[protocol.test]).sum()),
        "metrics": metrics,
    }
