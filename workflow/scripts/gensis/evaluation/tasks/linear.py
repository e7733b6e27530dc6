"""Linear probe: of images, or of the mean embeddings of slides."""

import numpy as np

from gensis.evaluation.data import TaskData
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.measured import Measured, Probabilities, classified
from gensis.evaluation.protocol import pooled


def measure(data: TaskData) -> Measured:
    """Metrics of a logistic regression on the embeddings of items."""
    features, items = data.features, data.items

    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        known = features[train], items.labels[train], items.groups[train]
        probe = fit_linear(*known, classes=len(items.classes), device=data.device)
        return {"": probe.probabilities(features[test])}

    return classified(data, pooled(data.protocol, predict))
