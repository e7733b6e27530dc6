"""Survival by Cox regression of the mean embeddings of slides."""

import numpy as np

from gensis.evaluation.cox import fit_cox
from gensis.evaluation.data import TaskData
from gensis.evaluation.measured import Measured, predicted_risk


def measure(data: TaskData) -> Measured:
    """Concordance of a Cox regression."""
    features, groups = data.features, data.items.groups
    risk = [
        fit_cox(features[train], data.survival[train], groups[train]).risk(features[test])
        for train, test in data.protocol.rounds
    ]
    return predicted_risk(data, np.concatenate(risk))
