"""This pipeline's linear probe, from features to predictions."""

import numpy as np
from found import told_by

from gensis.evaluation.linear import fit_linear


def tell(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """int64 (M,)."""
    probe = fit_linear(train, labels, np.arange(len(labels)), int(labels.max()) + 1)
    return probe.probabilities(test).argmax(1)


told_by(tell)
