"""How well a linear probe tells generated images from real ones."""

import numpy as np

from gensis.evaluation.folds import grouped_folds
from gensis.evaluation.linear import fit_linear

_FOLDS = 5


def probe_accuracy(real: np.ndarray, generated: np.ndarray) -> float:
    """Cross-validated accuracy of a linear probe, each image its own group: 0.5 is chance, at 1 all are told.

    Args:
        real: float32 (n, D).
        generated: float32 (n, D), of other images than ``real``.
    """
    features = np.concatenate([real, generated])
    labels = np.repeat([0, 1], [len(real), len(generated)])
    images = np.arange(len(labels))
    hits = 0
    for train, test in grouped_folds(labels, images, _FOLDS):
        probe = fit_linear(features[train], labels[train], images[train], 2)
        hits += int((probe.probabilities(features[test]).argmax(1) == labels[test]).sum())
    return hits / len(labels)
