"""Concordance of predicted risks with survival, for many weightings of the items at once."""

import numpy as np

from gensis.evaluation.outcomes import Survival
from gensis.evaluation.weighted import Weighted

_BLOCK_VALUES = 1 << 22


def concordance(survival: Survival, risk: np.ndarray) -> Weighted:
    """Harrell's c-index (Harrell et al. 1982, JAMA 247): the share of comparable pairs that the risks order rightly.

    A pair is comparable if one item has the event before the time of the other, or at the same time if the other has
    none. Pairs of equal risk count half.

    Args:
        survival: outcomes of N items.
        risk: float (N,).

    Returns:
        Function of (N, B) weights: float64 (B,), NaN where no pair is comparable.
    """
    blocks = max(1, len(risk) * len(risk) // _BLOCK_VALUES)
    parts = np.array_split(np.flatnonzero(survival.event), blocks)

    def measured(weights: np.ndarray) -> np.ndarray:
        weights = weights.astype(np.float64)
        right, comparable = np.zeros((2, weights.shape[1]))
        for first in parts:
            later, score = _pairs(survival, risk, first)
            comparable += np.einsum("ib,ib->b", weights[first], later @ weights)
            right += np.einsum("ib,ib->b", weights[first], (later * score) @ weights)
        with np.errstate(invalid="ignore"):
            return right / comparable

    return measured


def _pairs(survival: Survival, risk: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each item outlives the items ``first`` (n,), float64 (n, N); and 1, 0.5 or 0 for a lower, equal or higher
    risk than theirs."""
    time, own = survival.time, survival.time[first, None]
    later = (time > own) | ((time == own) & ~survival.event)
    return later.astype(np.float64), (np.sign(risk[first, None] - risk) + 1) / 2
