"""Regression: ridge regression, and its metrics for many weightings of the items at once."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV

from gensis.evaluation.folds import holdouts
from gensis.evaluation.outcomes import halves
from gensis.evaluation.standardisation import Standardisation
from gensis.evaluation.weighted import Weighted

STRENGTHS = (1.0, 10.0, 1e2, 1e3, 1e4, 1e5)
"""Candidates for the penalty of ridge regression, on standardised features."""
_FALLBACK = 1e3


def ridge(features: np.ndarray, values: np.ndarray, groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Choose the penalty by the squared error of parts that are held out by group, then fit on all items.

    Args:
        features: float32 (N, D), of training items only.
        values: float64 (N,).
        groups: int (N,).

    Returns:
        Function of float32 (n, D) features: float64 (n,) estimates.
    """
    standardisation = Standardisation.of(features)
    ways = holdouts(halves(values), groups)
    model = RidgeCV(STRENGTHS, cv=ways, scoring="neg_mean_squared_error") if ways else Ridge(_FALLBACK)
    model.fit(standardisation(features).astype(np.float64), values)
    return lambda others: model.predict(standardisation(others).astype(np.float64))


def r2(values: np.ndarray, estimates: np.ndarray) -> Weighted:
    """Coefficient of determination: 1 - squared error / variance. NaN if all values are equal.

    Args:
        values: float64 (N,).
        estimates: float64 (N,).

    Returns:
        Function of (N, B) weights: float64 (B,), as for all metrics of this module.
    """
    squared_error = np.square(values - estimates)

    def measured(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - _mean(squared_error, weights) / _variance(values, weights)

    return measured


def pearson(values: np.ndarray, estimates: np.ndarray) -> Weighted:
    """Pearson's correlation. NaN if all values or all estimates are equal."""

    def measured(weights: np.ndarray) -> np.ndarray:
        of_both = _covariance(values, estimates, weights)
        of_values, of_estimates = (_variance(each, weights) for each in (values, estimates))
        with np.errstate(invalid="ignore", divide="ignore"):
            return of_both / np.sqrt(of_values * of_estimates)

    return measured


def mean_absolute_error(values: np.ndarray, estimates: np.ndarray) -> Weighted:
    """Mean absolute difference, in the unit of the values."""
    return lambda weights: _mean(np.abs(values - estimates), weights)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # a fold may have no item of a resample
        return values @ weights / weights.sum(0)


def _variance(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """NaN where it is no more than rounding: all values with a weight are equal, as in a resample of one group."""
    variance = _covariance(values, values, weights)
    rounding = 1e-12 * _mean(np.square(values - values.mean()), weights)
    return np.where(variance > rounding, variance, np.nan)


def _covariance(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    first, second = first - first.mean(), second - second.mean()  # smaller numbers lose fewer digits
    return _mean(first * second, weights) - _mean(first, weights) * _mean(second, weights)
