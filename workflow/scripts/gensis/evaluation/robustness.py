"""Robustness: accuracy on corrupted images of classifiers that were trained on clean images."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch

from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.protocol import Protocol

Corrupted = Callable[[str, np.ndarray], np.ndarray]
"""Function of the name of a corruption (``blur-3``) and int64 (n,) rows of images: float32 (n, D) embeddings of the
corrupted images."""


def corrupted_hits(
    items: Labelled,
    protocol: Protocol,
    names: Sequence[str],
    k: int,
    temperature: float,
    corrupted: Corrupted,
    device: torch.device,
) -> dict[tuple[str, str], np.ndarray]:
    """Whether corrupted test images are classified correctly by k-NN and a linear probe, trained on clean images.

    Args:
        items: labelled clean images.
        protocol: rounds of training and testing.
        names: names of the corruptions.
        k: neighbours of k-NN.
        temperature: temperature of k-NN.
        corrupted: embeddings of the corrupted images.
        device: device that k-NN runs on.

    Returns:
        (``knn`` or ``linear``, corruption) -> bool (n,), in the order of ``protocol.test``.
    """
    correct = defaultdict(list)
    classes = len(items.classes)
    probes = [
        fit_linear(items.features[train], items.labels[train], items.groups[train], classes)
        for train, _ in protocol.rounds
    ]
    for name in names:  # the outer loop, so that the embeddings of each corruption are read once
        for (train, test), probe in zip(protocol.rounds, probes):
            corrupted_features = corrupted(name, items.item[test])
            features, labels = items.features[train], items.labels[train]
            votes = knn_probabilities(features, labels, corrupted_features, (k,), classes, temperature, device)[k]
            for classifier, probabilities in {"knn": votes, "linear": probe.probabilities(corrupted_features)}.items():
                correct[classifier, name].append(probabilities.argmax(1) == items.labels[test])
    return {key: np.concatenate(parts) for key, parts in correct.items()}


def by_kind(correct: dict[tuple[str, str], np.ndarray]) -> dict[str, np.ndarray]:
    """Share of severities at which each item is classified correctly, by kind of corruption and over all kinds.

    Args:
        correct: as returned by `corrupted_hits`.

    Returns:
        Metric (such as ``linear_accuracy_blur`` or ``linear_accuracy``) -> float64 (n,).
    """
    parts = defaultdict(list)
    for (classifier, name), hits in correct.items():
        parts[f"{classifier}_accuracy"].append(hits)
        parts[f"{classifier}_accuracy_{name.rpartition('-')[0]}"].append(hits)
    return {name: np.mean(hits, axis=0) for name, hits in parts.items()}


def by_severity(correct: dict[tuple[str, str], np.ndarray]) -> dict[str, dict[str, list[float]]]:
    """Accuracies by severity, ascending: classifier -> kind of corruption -> accuracies."""
    accuracies: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (classifier, name), hits in correct.items():
        accuracies[classifier][name.rpartition("-")[0]].append(float(hits.mean()))
    return {classifier: dict(kinds) for classifier, kinds in accuracies.items()}
