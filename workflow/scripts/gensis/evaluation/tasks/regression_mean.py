"""Numbers predicted by ridge regression of the mean embeddings of slides."""

import numpy as np

from gensis.evaluation.data import TaskData
from gensis.evaluation.measured import Measured, predicted_values
from gensis.evaluation.regression import ridge


def measure(data: TaskData) -> Measured:
    """Metrics of ridge regression."""
    features, groups = data.features, data.items.groups
    estimates = [
        ridge(features[train], data.values[train], groups[train])(features[test])
        for train, test in data.protocol.rounds
    ]
    return predicted_values(data, np.concatenate(estimates))
