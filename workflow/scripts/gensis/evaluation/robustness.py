"""How much of what was learnt from clean images holds for corrupted_features ones."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch

from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.protocol import Protocol

Corrupted = Callable[[str, np.ndarray], np.ndarray]
"""Name of a corruption (``blur-3``), int64 (n,) rows of images -> their embeddings, corrupted, float32 (n, D)."""


def answers_to_corrupted(
    items: Labelled,
    protocol: Protocol,
    names: Sequence[str],
    k: int,
    temperature: float,
    corrupted: Corrupted,
    device: torch.device,
) -> dict[tuple[str, str], np.ndarray]:
    """Whether corrupted test images are classified right by k-NN and a linear probe of clean training images.

    Args:
        items: labelled images, clean.
        protocol: what is fitted on what.
        names: of the corruptions.
        k: neighbours.
        temperature: of their votes.
        corrupted: embeddings of the corrupted_features images.
        device: where k-NN runs.

    Returns:
        (``knn`` or ``linear``, corruption) -> bool (n,), in the order of ``protocol.test``.
    """
    right = defaultdict(list)
    classes = len(items.classes)
    probes = [
        fit_linear(items.features[train], items.labels[train], items.groups[train], classes)
        for train, _ in protocol.rounds
    ]
    for name in names:  # outside the rounds, so that the embeddings of each are read once
        for (train, test), probe in zip(protocol.rounds, probes):
            corrupted_features = corrupted(name, items.item[test])
            features, labels = items.features[train], items.labels[train]
            votes = knn_probabilities(features, labels, corrupted_features, (k,), classes, temperature, device)[k]
            for classifier, probabilities in {"knn": votes, "linear": probe.probabilities(corrupted_features)}.items():
                right[classifier, name].append(probabilities.argmax(1) == items.labels[test])
    return {key: np.concatenate(parts) for key, parts in right.items()}


def by_kind(right: dict[tuple[str, str], np.ndarray]) -> dict[str, np.ndarray]:
    """Share of severities, for each kind and for all, at which an item is told right.

    Args:
        right: as `answers_to_corrupted` gives it.

    Returns:
        ``linear_accuracy_blur``, ``linear_accuracy`` and the like -> float64 (n,).
    """
    parts = defaultdict(list)
    for (classifier, name), answers in right.items():
        parts[f"{classifier}_accuracy"].append(answers)
        parts[f"{classifier}_accuracy_{name.rpartition('-')[0]}"].append(answers)
    return {name: np.mean(answers, axis=0) for name, answers in parts.items()}


def by_severity(right: dict[tuple[str, str], np.ndarray]) -> dict[str, dict[str, list[float]]]:
    """Classifier -> kind -> accuracies from the least to the greatest severity."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (classifier, name), answers in right.items():
        found[classifier][name.rpartition("-")[0]].append(float(answers.mean()))
    return {classifier: dict(kinds) for classifier, kinds in found.items()}
