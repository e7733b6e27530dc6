"""Linear probe: L2-regularised logistic regression on frozen, standardised features."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gensis.evaluation.folds import Unmeasurable, holdouts
from gensis.evaluation.logistic import MOST_ITERATIONS, Items, logits
from gensis.evaluation.standardisation import Standardisation

log = logging.getLogger(__name__)

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Candidates for C, the inverse of the regularisation strength."""
_FALLBACK = 1.0


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """A fitted linear probe."""

    standardisation: Standardisation
    coefficients: np.ndarray
    """float64, as `Items.fit` returns them, of the classes `known`."""
    known: np.ndarray
    """int64: the classes that it was trained on."""
    classes: int
    strength: float
    """C."""
    device: torch.device

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Class probabilities, float64 (N, K), of float32 (N, D) features; 0 for classes that it was not trained on."""
        inputs = torch.from_numpy(self.standardisation(features)).to(self.device)
        result = np.zeros((len(features), self.classes))
        result[:, self.known] = logits(inputs, self.coefficients).softmax(dim=1).cpu().numpy()
        return result


def fit_linear(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, classes: int, device: torch.device
) -> LinearProbe:
    """Choose C by the log loss on a fifth of the groups, then fit on all items.

    Args:
        features: float32 (N, D), of training items only.
        labels: int (N,).
        groups: int (N,).
        classes: number of classes K.
        device: device that it is fitted on.

    Raises:
        Unmeasurable: there is only one class.
    """
    if len(np.unique(labels)) < 2:
        raise Unmeasurable("a training part has only one class")
    strength = _choose_strength(features, labels, groups, classes=classes, device=device)
    (probe,) = _probes(features, labels, (strength,), classes=classes, device=device)
    return probe


def _choose_strength(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, classes: int, device: torch.device
) -> float:
    ways = holdouts(labels, groups)
    if not ways:
        log.info("linear: too few groups for a validation part, so C is %g", _FALLBACK)
        return _FALLBACK
    fit, validation = ways[0]
    losses = {
        probe.strength: log_loss(probe.probabilities(features[validation]), labels[validation])
        for probe in _probes(features[fit], labels[fit], STRENGTHS, classes=classes, device=device)
    }
    return min(losses, key=losses.__getitem__)


def _probes(
    features: np.ndarray, labels: np.ndarray, strengths: Sequence[float], *, classes: int, device: torch.device
) -> Iterator[LinearProbe]:
    """A probe for each C, in the given order; each fit starts from the coefficients of the last."""
    standardisation = Standardisation.of(features)
    known, targets = np.unique(labels, return_inverse=True)
    inputs = torch.from_numpy(standardisation(features)).to(device)
    items, coefficients = Items(inputs, torch.from_numpy(targets).to(device), len(known)), None
    for strength in strengths:
        coefficients, iterations = items.fit(strength, coefficients)
        if iterations >= MOST_ITERATIONS:
            log.info("linear: logistic regression with C %g stopped after %d iterations", strength, iterations)
        yield LinearProbe(
            standardisation=standardisation,
            coefficients=coefficients,
            known=known,
            classes=classes,
            strength=strength,
            device=device,
        )


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log probability of the true class."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())
