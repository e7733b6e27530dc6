"""Evaluation tasks: each computes metrics of labelled embeddings, with confidence intervals and chance levels."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from gensis.evaluation.bags import Slides, slides_of
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.labelled import Labelled, in_order
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.linear_sgd import Views, fit_linear_sgd, probabilities_of
from gensis.evaluation.low_label import draws
from gensis.evaluation.mil import HEADS, classify_bags
from gensis.evaluation.predictions import Attention, Predictions
from gensis.evaluation.protocol import Protocol, leave_group_out, plan, pooled
from gensis.evaluation.retrieval import retrieve
from gensis.evaluation.robustness import Corrupted, by_kind, by_severity, corrupted_hits
from gensis.evaluation.scoring import classification_metrics, mean_scores
from gensis.settings.evaluation import Evaluation

log = logging.getLogger(__name__)

_CORRUPTION_NEIGHBOURS = 20
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


def measure(
    task: str,
    labelled: Labelled,
    settings: Evaluation,
    seed: int,
    device: torch.device,
    corrupted: Corrupted | None = None,
    last_blocks: Views | None = None,
) -> Measured:
    """Train and test on one task.

    Args:
        task: one of the settings' image_tasks or slide_tasks.
        labelled: labelled images.
        settings: settings of the evaluation.
        seed: seed of the initialisations of MIL heads and of SGD.
        device: device that k-NN, MIL heads and SGD run on.
        corrupted: embeddings of the corrupted test images, for the task `corruptions`.
        last_blocks: features of the last blocks, for the task `linear-sgd`.

    Raises:
        Unmeasurable: the task cannot be measured on these data; the message is the reason.
    """
    ordered = set(labelled.classes) <= set(settings.ordered_classes)
    if ordered:
        labelled = in_order(labelled, settings.ordered_classes)
    kind, _, classifier = task.partition("-")
    items = slides_of(labelled, settings.bags) if kind == "slides" else labelled
    protocol = plan(items.labels, items.groups, items.splits, settings.folds)
    if "retrieval" in (kind, classifier):
        return _retrieval(items, leave_group_out(protocol), settings, device)
    if task == "corruptions":
        return _corruptions(items, protocol, settings, device, corrupted)
    attention: Attention = {}
    if task == "knn":
        probabilities = _knn(items, protocol, settings, device)
    elif task == "linear-sgd":
        probabilities = _linear_sgd(items, protocol, last_blocks, seed, device)
    elif task in settings.low_label_tasks:
        probabilities = _low_label(items, protocol, settings.low_label_tasks[task])
    elif classifier in HEADS:
        probabilities, attention = _attentive(classifier, items, protocol, settings, seed, device)
    else:
        probabilities = _linear(items.means() if kind == "slides" else items.features, items, protocol)
    if kind == "slides" and settings.ordered_classes and not ordered:
        _log_unordered(task, items.classes, settings.ordered_classes)
    predictions = _predictions(items, protocol, probabilities)
    metrics = classification_metrics(
        _names(kind, ordered), predictions, _commonest(items, protocol), settings.bootstrap
    )
    result = _result(items, protocol, predictions, protocol.unlearnt(items.labels), metrics)
    return Measured(result, predictions, attention)


def _result(
    items: Labelled | Slides,
    protocol: Protocol,
    predictions: Predictions,
    unlearnt: np.ndarray,
    metrics: list[dict[str, Any]],
) -> dict[str, Any]:
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


def _names(kind: str, ordered: bool) -> tuple[str, ...]:
    """Metrics of a kind of task. k-NN has no ranking metrics, since its votes have too many ties."""
    if kind == "knn":
        return ("accuracy", "balanced_accuracy")
    with_order = kind == "slides" and ordered
    return ("accuracy", "balanced_accuracy", "macro_f1", "auroc", *(["quadratic_kappa"] if with_order else []))


def _log_unordered(task: str, classes: Sequence[str], ordered: Sequence[str]) -> None:
    """Log why `quadratic_kappa` cannot be measured."""
    missing, unused = (", ".join(sorted(set(a) - set(b))) for a, b in ((classes, ordered), (ordered, classes)))
    more = f"; without images: {unused}" if unused else ""
    log.info("%s: no quadratic kappa: ordered_classes lacks %s%s", task, missing, more)


def _knn(items: Labelled, protocol: Protocol, settings: Evaluation, device: torch.device) -> Probabilities:
    smallest = min(len(train) for train, _ in protocol.rounds)
    ks = [k for k in settings.knn if k <= smallest]
    if not ks:
        raise Unmeasurable(f"{smallest} training images are fewer than the smallest k of k-NN, {min(settings.knn)}")

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


def _linear_sgd(
    items: Labelled, protocol: Protocol, last_blocks: Views, seed: int, device: torch.device
) -> Probabilities:
    plain, mirrored = last_blocks(items.item)

    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        views = plain[train], mirrored[train]
        layer = fit_linear_sgd(views, items.labels[train], len(items.classes), seed, device)
        return {"": probabilities_of(layer, plain[test])}

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


def _retrieval(items: Labelled | Slides, protocol: Protocol, settings: Evaluation, device: torch.device) -> Measured:
    (train, test), features = protocol.rounds[0], items.means() if isinstance(items, Slides) else items.features
    largest_group = np.bincount(items.groups[train]).max() if protocol.transductive else 0
    scores, expected = retrieve(
        features[train],
        items.labels[train],
        features[test],
        items.labels[test],
        [k for k in settings.knn if k <= len(train) - largest_group],
        device,
        (items.groups[train], items.groups[test]) if protocol.transductive else None,
    )
    predictions = _predictions(items, protocol, {}, scores)
    metrics = mean_scores(scores, expected, predictions.group, settings.bootstrap)
    unlearnt = np.unique(predictions.label[np.isnan(scores["average_precision"])])
    return Measured(_result(items, protocol, predictions, unlearnt, metrics), predictions)


def _corruptions(
    items: Labelled, protocol: Protocol, settings: Evaluation, device: torch.device, corrupted: Corrupted
) -> Measured:
    smallest = min(len(train) for train, _ in protocol.rounds)
    correct = corrupted_hits(
        items,
        protocol,
        settings.corruption_names,
        min(_CORRUPTION_NEIGHBOURS, smallest),
        settings.knn_temperature,
        corrupted,
        device,
    )
    scores = by_kind(correct)
    predictions = _predictions(items, protocol, {}, scores)
    always_commonest = (predictions.label == _commonest(items, protocol)).astype(float)
    metrics = mean_scores(scores, dict.fromkeys(scores, always_commonest), predictions.group, settings.bootstrap)
    result = _result(items, protocol, predictions, protocol.unlearnt(items.labels), metrics)
    return Measured(result | {"by_severity": by_severity(correct)}, predictions)


def _predictions(
    items: Labelled | Slides, protocol: Protocol, probabilities: Probabilities, scores: dict[str, np.ndarray] = {}
) -> Predictions:
    test = protocol.test
    names = tuple(items.name(i) for i in test) if isinstance(items, Slides) else None
    return Predictions(
        items.classes,
        items.item[test],
        items.groups[test],
        protocol.fold,
        items.labels[test],
        probabilities,
        scores,
        names,
    )


def _commonest(items: Labelled | Slides, protocol: Protocol) -> int:
    """The most common class of train."""
    return int(np.bincount(items.labels[protocol.train]).argmax())
