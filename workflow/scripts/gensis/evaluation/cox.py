"""Cox regression: the risk of an event as a linear function of features."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from gensis.evaluation.folds import holdouts
from gensis.evaluation.outcomes import Survival
from gensis.evaluation.standardisation import Standardisation

log = logging.getLogger(__name__)

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for C, the inverse of the regularisation strength."""
_FALLBACK = 1e-3


def partial_likelihood_loss(risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Negative log partial likelihood of log risks (Cox 1972; tied times as Breslow 1974), summed over events.

    Args:
        risk: float (N,), the log of the relative risk.
        time: float (N,).
        event: bool (N,).
    """
    latest_first = time.argsort(descending=True)
    risk, time, event = (each[latest_first] for each in (risk, time, event))
    last_at_risk = torch.searchsorted(-time, -time, right=True) - 1
    return ((risk.logcumsumexp(0)[last_at_risk] - risk) * event).sum()


@dataclass(frozen=True)
class CoxModel:
    """A fitted Cox regression."""

    standardisation: Standardisation
    weights: np.ndarray
    """float64 (D,)."""

    def risk(self, features: np.ndarray) -> np.ndarray:
        """Log of the relative risk, float64 (N,), of float32 (N, D) features."""
        return self.standardisation(features) @ self.weights


def fit_cox(features: np.ndarray, survival: Survival, groups: np.ndarray) -> CoxModel:
    """Choose C by the partial likelihood of parts that are held out by group, then fit on all items.

    Args:
        features: float32 (N, D), of training items only.
        survival: outcomes of the N items.
        groups: int (N,).
    """
    ways = holdouts(survival.strata, groups)
    if not ways:
        log.info("Cox regression: too few groups for a validation part, so C is %g", _FALLBACK)
        return fit_with(features, survival, _FALLBACK)

    def held_out_loss(strength: float) -> float:
        models = (fit_with(features[fit], survival[fit], strength) for fit, _ in ways)
        return sum(_loss(model.risk(features[held]), survival[held])[0] for model, (_, held) in zip(models, ways))

    return fit_with(features, survival, min(STRENGTHS, key=held_out_loss))


def fit_with(features: np.ndarray, survival: Survival, strength: float) -> CoxModel:
    """Minimise the loss plus ``|weights|^2 / (2 C)`` by L-BFGS, on standardised features."""
    standardisation = Standardisation.of(features)
    inputs = standardisation(features).astype(np.float64)

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = _loss(inputs @ weights, survival)
        return loss + weights @ weights / (2 * strength), inputs.T @ gradient + weights / strength

    found = minimize(objective, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return CoxModel(standardisation, found.x)


def _loss(risk: np.ndarray, survival: Survival) -> tuple[float, np.ndarray]:
    """The loss of float64 (N,) risks, and its gradient by them."""
    given = torch.from_numpy(risk).requires_grad_()
    loss = partial_likelihood_loss(given, torch.from_numpy(survival.time), torch.from_numpy(survival.event))
    loss.backward()
    return loss.item(), given.grad.numpy()
