"""Confidence intervals and tests of the mean of paired differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

SEEDS_FOR_A_TEST = 6
"""Smallest number of seeds with which a two-sided sign-flip test can reach 5 %."""
EXACT_UP_TO = 16


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean difference; numbers that do not exist are NaN."""

    n: int
    """Number of seeds or items."""
    difference: float
    low: float
    high: float
    """95 % interval."""
    interval: str
    """Method of the interval: ``t``, ``bootstrap``, or empty for none."""
    p: float
    """Two-sided p-value of a difference of 0, not corrected for multiple comparisons."""
    test: str
    """Test that gave the p-value: ``sign-flip``, ``mcnemar``, or empty for none."""


def over_seeds(differences: Sequence[float]) -> Estimate:
    """Mean over seeds, with a t interval (two seeds or more) and a sign-flip test (SEEDS_FOR_A_TEST seeds or more)."""
    n = len(differences)
    low, high = t_interval(differences)
    p, test = (sign_flip_p(differences), "sign-flip") if n >= SEEDS_FOR_A_TEST else (math.nan, "")
    return Estimate(
        n=n, difference=float(np.mean(differences)), low=low, high=high, interval="t" if n > 1 else "", p=p, test=test
    )


def mean_alone(differences: Sequence[float]) -> Estimate:
    """Mean without interval and test, for repetitions that are no sample."""
    absent = dict.fromkeys(("low", "high", "p"), math.nan)
    return Estimate(n=len(differences), difference=float(np.mean(differences)), **absent, interval="", test="")


def t_interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean by Student's t with n - 1 degrees of freedom; NaN for fewer than two differences."""
    if len(differences) < 2:
        return math.nan, math.nan
    middle, error = np.mean(differences), stats.sem(differences)
    half = stats.t.ppf(0.975, len(differences) - 1) * error
    return float(middle - half), float(middle + half)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided sign-flip permutation test of the mean. Null hypothesis: each difference could have either sign.

    Exact over all 2^n flips for up to EXACT_UP_TO differences, otherwise over 2^EXACT_UP_TO random flips.
    """
    mean = stats.permutation_test(
        (np.asarray(differences, np.float64),),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        n_resamples=2**EXACT_UP_TO,
        vectorized=True,
        rng=0,
    )
    return float(mean.pvalue)


def mcnemar_p(ours_right: np.ndarray, theirs_right: np.ndarray) -> float:
    """Exact McNemar test on the items that only one of two classifiers classifies correctly.

    Args:
        ours_right: bool (n,), whether the first classifies each item correctly; items must be independent.
        theirs_right: bool (n,), whether the second classifies each item correctly.
    """
    only_ours, only_theirs = (ours_right & ~theirs_right).sum(), (theirs_right & ~ours_right).sum()
    discordant = int(only_ours + only_theirs)
    return float(stats.binomtest(int(only_ours), discordant).pvalue) if discordant else 1.0
