"""The measurements: each takes labelled embeddings to metrics with intervals and chance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gensis.evaluation.abmil import abmil_probabilities
from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.metrics import METRICS, chance
from gensis.evaluation.predictions import Predictions
from gensis.evaluation.protocol import Protocol, plan, pooled
from gensis.evaluation.slides import Slides, slides_of
from gensis.settings.evaluation import Evaluation

Probabilities = dict[str, np.ndarray]
"""Suffix of a metric's name (``_k20``, or empty) -> float (n, K) class probabilities of the tested items."""


@dataclass(frozen=True)
class Measured:
    """What a task found."""

    result: dict[str, Any]
    """The fields of evaluation/<...>/<task>.json that hold results (docs/artifacts.md)."""
    predictions: Predictions


def measure(task: str, labelled: Labelled, settings: Evaluation, seed: int, device: torch.device) -> Measured:
    """Fit and test one task.

    Args:
        task: one of the settings' image_tasks or slide_tasks.
        labelled: labelled images.
        settings: the stage's settings.
        seed: of the initialisations of `slides-abmil`.
        device: where k-NN and attention run.

    Raises:
        Unmeasurable: the data do not allow it; the message is the reason.
    """
    items = slides_of(labelled) if task.startswith("slides-") else labelled
    protocol = plan(items.labels, items.groups, items.splits, settings.folds)
    match task:
        case "knn":
            probabilities = _knn(items, protocol, settings, device)
        case "linear":
            probabilities = _linear(items.features, items, protocol)
        case "slides-mean":
            probabilities = _linear(items.means(), items, protocol)
        case "slides-abmil":
            probabilities = _abmil(items, protocol, settings, seed, device)
    predictions = _predictions(items, protocol, probabilities)
    names = ("accuracy", "balanced_accuracy") if task == "knn" else tuple(METRICS)
    result = {
        "protocol": protocol.name,
        "transductive": protocol.transductive,
        "classes": list(items.classes),
        "n": len(predictions.item),
        "n_groups": len(np.unique(predictions.group)),
        "metrics": _metrics(names, predictions, _commonest(items, protocol), settings.bootstrap),
    }
    return Measured(result, predictions)


def _knn(items: Labelled, protocol: Protocol, settings: Evaluation, device: torch.device) -> Probabilities:
    smallest = min(len(train) for train, _ in protocol.rounds)
    ks = [k for k in settings.knn if k <= smallest]
    if not ks:
        raise Unmeasurable(f"{smallest} training images are fewer than the least k of k-NN, {min(settings.knn)}")

    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        shares = knn_probabilities(
            items.features[train],
            items.labels[train],
            items.features[test],
            ks,
            len(items.classes),
            settings.knn_temperature,
            device,
        )
        return {f"_k{k}": shares[k] for k in ks}

    return pooled(protocol, predict)


def _linear(features: np.ndarray, items: Labelled | Slides, protocol: Protocol) -> Probabilities:
    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        probe = fit_linear(features[train], items.labels[train], items.groups[train], len(items.classes))
        return {"": probe.probabilities(features[test])}

    return pooled(protocol, predict)


def _abmil(slides: Slides, protocol: Protocol, settings: Evaluation, seed: int, device: torch.device) -> Probabilities:
    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        probabilities = abmil_probabilities(
            [slides.bag(i) for i in train],
            slides.labels[train],
            slides.groups[train],
            [slides.bag(i) for i in test],
            len(slides.classes),
            settings.abmil_epochs,
            settings.abmil_learning_rate,
            [(seed, i) for i in range(settings.abmil_seeds)],
            device,
        )
        return {"": probabilities}

    return pooled(protocol, predict)


def _predictions(items: Labelled | Slides, protocol: Protocol, probabilities: Probabilities) -> Predictions:
    test = protocol.test
    names = tuple(items.names[i] for i in test) if isinstance(items, Slides) else None
    return Predictions(
        items.classes, items.item[test], items.groups[test], protocol.fold, items.labels[test], probabilities, names
    )


def _commonest(items: Labelled | Slides, protocol: Protocol) -> int:
    """The commonest class of train."""
    return int(np.bincount(items.labels[protocol.train]).argmax())


def _metrics(names: tuple[str, ...], predictions: Predictions, majority: int, resamples: int) -> list[dict[str, Any]]:
    labels = predictions.label

    def values(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name + suffix: METRICS[name](labels, probabilities, weights)
            for suffix, probabilities in predictions.probabilities.items()
            for name in names
        }

    bounds = intervals(values, predictions.group, resamples)
    result = []
    for name, value in values(np.ones((len(labels), 1))).items():
        low, high = bounds.get(name, (None, None))
        by_chance = chance(name.partition("_k")[0], labels, majority)
        fields = {"metric": name, "value": float(value[0]), "low": low, "high": high}
        result.append(fields | {"n": len(labels), "chance": by_chance})
    return result
