"""Intervals and tests of mean differences, compared with scipy and with explicit loops."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from gensis.evaluation.statistics import SEEDS_FOR_A_TEST, mcnemar_p, over_seeds, sign_flip_p, t_interval

GAINS = [0.012, 0.004, -0.003, 0.009, 0.015, 0.002, 0.007]


@pytest.mark.parametrize("differences", [GAINS, GAINS[:2], [0.0, 0.0, 0.01]])
def test_interval_over_seeds_equals_the_paired_t_interval(differences: list[float]) -> None:
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert t_interval(differences) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("differences", [GAINS, [0.1] * 6, [0.1] * 5 + [-0.1], [0.0] * 6, [-0.2, 0.1] * 5])
def test_sign_flip_p_equals_a_count_over_all_flips(differences: list[float]) -> None:
    flipped = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=len(differences))]
    expected = np.mean(np.array(flipped) >= abs(sum(differences)) - 1e-12)
    assert sign_flip_p(differences) == pytest.approx(expected)


def test_sign_flip_test_of_many_seeds_uses_random_flips() -> None:
    differences = np.random.default_rng(0).normal(0.5, 1, 24)
    assert sign_flip_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)


def test_one_seed_has_neither_interval_nor_test() -> None:
    one = over_seeds([0.03])
    assert (one.n, one.difference, one.interval, one.test) == (1, 0.03, "", "")
    assert all(map(math.isnan, (one.low, one.high, one.p)))


@pytest.mark.parametrize(("seeds", "test"), [(SEEDS_FOR_A_TEST - 1, ""), (SEEDS_FOR_A_TEST, "sign-flip")])
def test_there_is_a_test_only_with_enough_seeds_to_reach_five_percent(seeds: int, test: str) -> None:
    found = over_seeds([0.01 * (1 + i) for i in range(seeds)])
    assert (found.interval, found.test) == ("t", test)
    assert (found.p < 0.05) is bool(test)


@pytest.mark.parametrize(("only_ours", "only_theirs"), [(9, 2), (3, 3), (0, 0), (0, 6)])
def test_mcnemar_p_equals_a_binomial_test_of_discordant_items(only_ours: int, only_theirs: int) -> None:
    ours = np.array([True] * only_ours + [False] * only_theirs + [True, False])
    theirs = np.array([False] * only_ours + [True] * only_theirs + [True, False])
    n = only_ours + only_theirs
    outcomes = [abs(2 * sum(coins) - n) >= abs(only_ours - only_theirs) for coins in product((0, 1), repeat=n)]
    assert mcnemar_p(ours, theirs) == pytest.approx(np.mean(outcomes))
