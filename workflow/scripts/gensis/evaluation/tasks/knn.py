"""Weighted k-NN classification of images, for each k of the settings."""

import logging

import numpy as np

from gensis.evaluation.data import TaskData
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.measured import Measured, Probabilities, classified
from gensis.evaluation.protocol import pooled

log = logging.getLogger(__name__)


def measure(data: TaskData) -> Measured:
    """Metrics for each k up to the number of training images; other k are logged.

    Raises:
        Unmeasurable: there are too few training images for any k.
    """
    smallest = data.protocol.smallest_train
    ks = [k for k in data.settings.knn if k <= smallest]
    if not ks:
        raise Unmeasurable(
            f"{smallest} training images are fewer than the smallest k of k-NN, {min(data.settings.knn)}"
        )
    if dropped := [k for k in data.settings.knn if k > smallest]:
        log.info("%s: k = %s dropped: more than the training images", data.name, ", ".join(map(str, dropped)))

    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        shares = knn_probabilities(
            data.features[train],
            data.items.labels[train],
            data.features[test],
            ks=ks,
            classes=len(data.items.classes),
            temperature=data.settings.knn_temperature,
            device=data.device,
        )
        return {f"_k{k}": shares[k] for k in ks}

    return classified(data, pooled(data.protocol, predict))
