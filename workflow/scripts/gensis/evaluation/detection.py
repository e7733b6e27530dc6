"""Detection of generated images: accuracy of a linear probe that classifies images as real or generated."""

import numpy as np
import torch

from gensis.evaluation.folds import grouped_folds
from gensis.evaluation.linear import fit_linear

_FOLDS = 5


def probe_accuracy(real: np.ndarray, generated: np.ndarray, device: torch.device) -> float:
    """Cross-validated accuracy of a linear probe, each image its own group. Chance is 0.5.

    Args:
        real: float32 (n, D): features of real images.
        generated: float32 (n, D): features of images that were generated from other sources than ``real``.
        device: device that the probes are fitted on.
    """
    features = np.concatenate([real, generated])
    labels = np.repeat([0, 1], [len(real), len(generated)])
    images = np.arange(len(labels))
    hits = 0
    for train, test in grouped_folds(labels, images, _FOLDS):
        probe = fit_linear(features[train], labels[train], images[train], classes=2, device=device)
        hits += int((probe.probabilities(features[test]).argmax(1) == labels[test]).sum())
    return hits / len(labels)
