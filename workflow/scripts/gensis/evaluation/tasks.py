"""The measurements: each takes labelled embeddings to metrics with intervals and chance."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.labelled import Labelled, in_order
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.low_label import draws
from gensis.evaluation.metrics import METRICS, chance, mean_over_folds
from gensis.evaluation.mil import HEADS, classify_bags
from gensis.evaluation.predictions import Attention, Predictions
from gensis.evaluation.protocol import Protocol, plan, pooled
from gensis.evaluation.slides import Slides, slides_of
from gensis.settings.evaluation import Evaluation

Probabilities = dict[str, np.ndarray]
"""Suffix of a metric's name (``_k20``, or empty) -> class probabilities of the tested items: float (n, K), or (n, R, K)
where they come from R draws of training labels, over which metrics are averaged."""


@dataclass(frozen=True)
class Measured:
    """What a task found."""

    result: dict[str, Any]
    """The fields of evaluation/<...>/<task>.json that hold results (docs/artifacts.md)."""
    predictions: Predictions
    attention: Attention = field(default_factory=dict)


def measure(task: str, labelled: Labelled, settings: Evaluation, seed: int, device: torch.device) -> Measured:
    """Fit and test one task.

    Args:
        task: one of the settings' image_tasks or slide_tasks.
        labelled: labelled images.
        settings: the stage's settings.
        seed: of the initialisations of attention.
        device: where k-NN and attention run.

    Raises:
        Unmeasurable: the data do not allow it; the message is the reason.
    """
    ordered = set(labelled.classes) <= set(settings.ordered_classes)
    if ordered:
        labelled = in_order(labelled, settings.ordered_classes)
    kind, _, classifier = task.partition("-")
    items = slides_of(labelled, settings.bags) if kind == "slides" else labelled
    protocol = plan(items.labels, items.groups, items.splits, settings.folds)
    attention: Attention = {}
    if task == "knn":
        probabilities = _knn(items, protocol, settings, device)
    elif task in settings.low_label_tasks:
        probabilities = _low_label(items, protocol, settings.low_label_tasks[task])
    elif classifier in HEADS:
        probabilities, attention = _attentive(classifier, items, protocol, settings, seed, device)
    else:
        probabilities = _linear(items.means() if kind == "slides" else items.features, items, protocol)
    predictions = _predictions(items, protocol, probabilities)
    result = {
        "protocol": protocol.name,
        "transductive": protocol.transductive,
        "classes": list(items.classes),
        "n": len(predictions.item),
        "n_groups": len(np.unique(predictions.group)),
        "metrics": _metrics(_names(kind, ordered), predictions, _commonest(items, protocol), settings.bootstrap),
    }
    return Measured(result, predictions, attention)


def _names(kind: str, ordered: bool) -> tuple[str, ...]:
    """Metrics of a kind of task. The votes of k-NN are too few and too alike to rank images by."""
    if kind == "knn":
        return ("accuracy", "balanced_accuracy")
    with_order = kind == "slides" and ordered
    return ("accuracy", "balanced_accuracy", "macro_f1", "auroc", *(["quadratic_kappa"] if with_order else []))


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


def _low_label(items: Labelled, protocol: Protocol, share: float) -> Probabilities:
    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        known = [train[drawn] for drawn in draws(items.labels[train], items.groups[train], share)]
        probes = [
            fit_linear(items.features[few], items.labels[few], items.groups[few], len(items.classes)) for few in known
        ]
        return {"": np.stack([probe.probabilities(items.features[test]) for probe in probes], axis=1, dtype=np.float32)}

    return pooled(protocol, predict)


def _attentive(
    head: str, slides: Slides, protocol: Protocol, settings: Evaluation, seed: int, device: torch.device
) -> tuple[Probabilities, Attention]:
    attention: Attention = {}

    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        probabilities, weights = classify_bags(
            head,
            [slides.bag(i) for i in train],
            slides.labels[train],
            slides.groups[train],
            [slides.bag(i) for i in test],
            len(slides.classes),
            settings,
            seed,
            device,
        )
        for bag, values in zip(test, weights):
            attention.update(slides.by_slide(bag, values))
        return {"": probabilities}

    return pooled(protocol, predict), attention


def _predictions(items: Labelled | Slides, protocol: Protocol, probabilities: Probabilities) -> Predictions:
    test = protocol.test
    names = tuple(items.name(i) for i in test) if isinstance(items, Slides) else None
    return Predictions(
        items.classes, items.item[test], items.groups[test], protocol.fold, items.labels[test], probabilities, names
    )


def _commonest(items: Labelled | Slides, protocol: Protocol) -> int:
    """The commonest class of train."""
    return int(np.bincount(items.labels[protocol.train]).argmax())


def _metrics(names: tuple[str, ...], predictions: Predictions, majority: int, resamples: int) -> list[dict[str, Any]]:
    def by_draw(name: str, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Float (R, B)."""
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
        fields |= {"n": len(predictions.label), "chance": chance(name, predictions.label, majority)}
        result.append(fields | ({"spread": float(plain.std(ddof=1))} if len(plain) > 1 else {}))
    return result


def _measured(name: str, probabilities: np.ndarray, predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    if name == "auroc":
        return mean_over_folds(name, predictions.fold, predictions.label, probabilities, weights)
    return METRICS[name](predictions.label, probabilities, weights)
