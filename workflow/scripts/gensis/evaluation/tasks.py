"""The measurements: each takes labelled embeddings to metrics with intervals and chance."""

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
from gensis.evaluation.protocol import Protocol, plan, pooled
from gensis.evaluation.slides import Slides, slides_of
from gensis.settings.evaluation import Evaluation

IMAGE_TASKS = ("knn", "linear")
SLIDE_TASKS = ("slides-mean", "slides-abmil")

Predictions = dict[str, np.ndarray]
"""Suffix of a metric's name (``_k20``, or empty) -> float (n, K) class probabilities of the tested items."""


def measure(task: str, labelled: Labelled, settings: Evaluation, seed: int, device: torch.device) -> dict[str, Any]:
    """Fit and test one task.

    Args:
        task: one of IMAGE_TASKS or SLIDE_TASKS.
        labelled: labelled images.
        settings: the stage's settings.
        seed: of the initialisations of `slides-abmil`.
        device: where k-NN and attention run.

    Returns:
        The fields of evaluation/<...>/<task>.json that hold results (docs/artifacts.md).

    Raises:
        Unmeasurable: the data do not allow it, or it is switched off; the message is the reason.
    """
    if task not in _switched_on(settings):
        raise Unmeasurable("switched off in the config")
    items = slides_of(labelled) if task.startswith("slides-") else labelled
    protocol = plan(items.labels, items.groups, items.splits, settings.folds)
    match task:
        case "knn":
            predictions = _knn(items, protocol, settings, device)
        case "linear":
            predictions = _linear(items.features, items, protocol)
        case "slides-mean":
            predictions = _linear(items.means(), items, protocol)
        case "slides-abmil":
            predictions = _abmil(items, protocol, settings, seed, device)
    names = ("accuracy", "balanced_accuracy") if task == "knn" else tuple(METRICS)
    test = protocol.test
    result = {
        "protocol": protocol.name,
        "transductive": protocol.transductive,
        "classes": list(items.classes),
        "n": len(test),
        "n_groups": len(np.unique(items.groups[test])),
        "metrics": _metrics(names, predictions, items, protocol, settings.bootstrap),
    }
    return result | ({"predictions": _by_slide(items, protocol, predictions[""])} if isinstance(items, Slides) else {})


def _switched_on(settings: Evaluation) -> set[str]:
    image_tasks = {"knn": bool(settings.knn), "linear": settings.linear}
    return {task for task, on in image_tasks.items() if on} | {f"slides-{name}" for name in settings.slides}


def _knn(items: Labelled, protocol: Protocol, settings: Evaluation, device: torch.device) -> Predictions:
    smallest = min(len(train) for train, _ in protocol.rounds)
    ks = [k for k in settings.knn if k <= smallest]
    if not ks:
        raise Unmeasurable(f"{smallest} training images are fewer than the least k of k-NN, {min(settings.knn)}")

    def predict(train: np.ndarray, test: np.ndarray) -> Predictions:
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


def _linear(features: np.ndarray, items: Labelled | Slides, protocol: Protocol) -> Predictions:
    def predict(train: np.ndarray, test: np.ndarray) -> Predictions:
        probe = fit_linear(features[train], items.labels[train], items.groups[train], len(items.classes))
        return {"": probe.probabilities(features[test])}

    return pooled(protocol, predict)


def _abmil(slides: Slides, protocol: Protocol, settings: Evaluation, seed: int, device: torch.device) -> Predictions:
    def predict(train: np.ndarray, test: np.ndarray) -> Predictions:
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


def _metrics(
    names: tuple[str, ...], predictions: Predictions, items: Labelled | Slides, protocol: Protocol, resamples: int
) -> list[dict[str, Any]]:
    labels, groups = items.labels[protocol.test], items.groups[protocol.test]
    majority = int(np.bincount(items.labels[protocol.train]).argmax())

    def values(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name + suffix: METRICS[name](labels, probabilities, weights)
            for suffix, probabilities in predictions.items()
            for name in names
        }

    bounds = intervals(values, groups, resamples)
    result = []
    for name, value in values(np.ones((len(labels), 1))).items():
        low, high = bounds.get(name, (None, None))
        by_chance = chance(name.partition("_k")[0], labels, majority)
        fields = {"metric": name, "value": float(value[0]), "low": low, "high": high}
        result.append(fields | {"n": len(labels), "chance": by_chance})
    return result


def _by_slide(slides: Slides, protocol: Protocol, probabilities: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "slide": slides.names[i],
            "label": slides.classes[slides.labels[i]],
            "fold": int(fold),
            "probabilities": [round(float(value), 6) for value in row],
        }
        for i, fold, row in zip(protocol.test, protocol.fold, probabilities)
    ]
