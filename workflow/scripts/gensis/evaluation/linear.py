"""Linear probe: L2-regularised logistic regression on frozen, standardised features."""

import logging
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from gensis.evaluation.folds import Unmeasurable, holdouts
from gensis.evaluation.standardisation import Standardisation

log = logging.getLogger(__name__)

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Candidates for C, the inverse of the regularisation strength."""
_FALLBACK = 1.0
_ITERATIONS = 1000


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear probe."""

    standardisation: Standardisation
    model: LogisticRegression
    classes: int

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Class probabilities, float (N, K), of float32 (N, D). Classes that were not trained on have probability 0."""
        result = np.zeros((len(features), self.classes))
        result[:, self.model.classes_] = self.model.predict_proba(self.standardisation(features))
        return result


def fit_linear(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> LinearProbe:
    """Choose C by the log loss on a fifth of the groups, then fit on all items.

    Args:
        features: float32 (N, D), of training items only.
        labels: int (N,).
        groups: int (N,).
        classes: number of classes K.

    Raises:
        Unmeasurable: there is only one class.
    """
    if len(np.unique(labels)) < 2:
        raise Unmeasurable("a training part has only one class")
    strength = _choose_strength(features, labels, groups, classes)
    standardisation = Standardisation.of(features)
    model = _fitted(LogisticRegression(C=strength, max_iter=_ITERATIONS), standardisation(features), labels)
    return LinearProbe(standardisation, model, classes)


def _choose_strength(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> float:
    ways = holdouts(labels, groups)
    if not ways:
        log.info("linear: too few groups for a validation part, so C is %g", _FALLBACK)
        return _FALLBACK
    fit, validation = ways[0]
    standardisation = Standardisation.of(features[fit])
    inputs = standardisation(features[fit])
    # From strong to weak regularisation, each fit warm-started from the last.
    model = LogisticRegression(max_iter=_ITERATIONS, warm_start=True)
    losses = {}
    for strength in STRENGTHS:
        probe = LinearProbe(standardisation, _fitted(model.set_params(C=strength), inputs, labels[fit]), classes)
        losses[strength] = log_loss(probe.probabilities(features[validation]), labels[validation])
    return min(losses, key=losses.__getitem__)


def _fitted(model: LogisticRegression, features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    if model.n_iter_.max() >= _ITERATIONS:
        log.info("linear: logistic regression with C %g stopped after %d iterations", model.C, _ITERATIONS)
    return model


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log probability of the true class."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())
