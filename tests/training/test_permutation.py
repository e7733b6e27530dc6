import numpy as np
import pytest

from gensis.training.permutation import mixed_key, permuted


@pytest.mark.parametrize("count", [*range(1, 40), 255, 256, 257, 10_007])
def test_every_position_is_taken_once(count):
    for key in mixed_key(np.arange(5)):
        assert sorted(permuted(np.arange(count), count, key).tolist()) == list(range(count))


def test_counts_and_keys_may_differ_between_positions():
    counts = np.array([3, 1, 1000, 3, 77])
    keys = mixed_key(np.arange(5))
    positions = np.array([2, 0, 500, 1, 76])
    alone = [permuted(positions[i : i + 1], int(counts[i]), keys[i])[0] for i in range(5)]
    assert permuted(positions, counts, keys).tolist() == alone


@pytest.mark.parametrize(("count", "place"), [(3, 0), (10, 9), (64, 0), (1000, 500)])
def test_a_position_is_uniformly_distributed_over_many_keys(count, place):
    draws = 200 * count
    found = np.bincount(permuted(np.full(draws, place), count, mixed_key(np.arange(draws))), minlength=count)
    chi_square = ((found - 200) ** 2 / 200).sum()
    assert chi_square < count + 5 * np.sqrt(2 * count)  # five standard deviations above its mean


def test_neighbouring_positions_are_separated():
    order = permuted(np.arange(100_000), 100_000, mixed_key(7))
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
    assert (np.abs(np.diff(order)) == 1).mean() < 1e-3
