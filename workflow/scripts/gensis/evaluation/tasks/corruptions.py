"""Robustness: accuracy on corrupted images of classifiers that were trained on clean images."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from gensis.evaluation.data import TaskData
from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.measured import Measured, scored

_NEIGHBOURS = 20


def measure(data: TaskData) -> Measured:
    """Accuracies on corrupted test images, by kind of corruption and by severity."""
    correct = corrupted_hits(data)
    scores = by_kind(correct)
    labels = data.items.labels
    always_commonest = (labels[data.protocol.test] == data.commonest_class).astype(float)
    measured = scored(data, scores, dict.fromkeys(scores, always_commonest), data.protocol.unlearnt(labels))
    return replace(measured, result=measured.result | {"by_severity": by_severity(correct)})


def corrupted_hits(data: TaskData) -> dict[tuple[str, str], np.ndarray]:
    """Whether corrupted test images are classified correctly by k-NN and a linear probe, trained on clean images.

    Returns:
        (``knn`` or ``linear``, corruption) -> bool (n,), in the order of ``data.protocol.test``.
    """
    correct = defaultdict(list)
    items, protocol, classes = data.items, data.protocol, len(data.items.classes)
    k, temperature = min(_NEIGHBOURS, protocol.smallest_train), data.settings.knn_temperature
    probes = [
        fit_linear(items.features[train], items.labels[train], items.groups[train], classes)
        for train, _ in protocol.rounds
    ]
    # Corruptions are the outer loop, so that the embeddings of each are read once.
    for name in data.settings.corruption_names:
        for (train, test), probe in zip(protocol.rounds, probes):
            corrupted_features = data.corrupted(name, items.item[test])
            features, labels = items.features[train], items.labels[train]
            votes = knn_probabilities(
                features,
                labels,
                corrupted_features,
                ks=(k,),
                classes=classes,
                temperature=temperature,
                device=data.device,
            )[k]
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
