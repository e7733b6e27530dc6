import tracemalloc

import numpy as np
import pytest
import torch

from gensis.errors import UserError
from gensis.training import sampler as module
from gensis.training.sampler import Sampler

HUNDRED_MILLION, UNITS = 100_000_000, 20_000


@pytest.fixture
def small_window(monkeypatch):
    """Windows of at most 40 images and runs of 4."""
    monkeypatch.setattr(module, "WINDOW", 40)
    monkeypatch.setattr(module, "RUN", 4)


def epoch(sampler, number=0):
    steps = range(number * sampler.steps_per_epoch, (number + 1) * sampler.steps_per_epoch)
    return torch.cat([sampler.rows(step) for step in steps])


def test_up_to_a_window_an_epoch_is_a_permutation_by_seed_and_number():
    orders = [tuple(epoch(Sampler(100, 10, seed=seed), number).tolist()) for seed in range(3) for number in range(3)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len(set(orders)) == 9
    assert orders[4] == tuple(epoch(Sampler(100, 25, seed=1), 1).tolist())
    assert len(epoch(Sampler(100, 7, seed=0))) == 98  # the incomplete last batch is dropped


def test_up_to_a_window_each_row_is_equally_likely_at_each_place():
    """Chi-squared test of 4,000 orders of five rows: with 16 degrees of freedom, 39 is exceeded once in a thousand."""
    orders = np.stack([epoch(Sampler(5, 5, seed=seed), number) for seed in range(20) for number in range(200)])
    counts = np.stack([np.bincount(place, minlength=5) for place in orders.T])
    assert ((counts - 800) ** 2 / 800).sum() < 39


@pytest.mark.parametrize("images", [41, 100, 120, 203])
@pytest.mark.usefixtures("small_window")
def test_beyond_a_window_each_row_is_still_seen_once_per_epoch(images):
    sampler = Sampler(images, 1, seed=3)
    first, second = epoch(sampler), epoch(sampler, 1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(images))
    assert first.tolist() != second.tolist()
    assert first.tolist() != epoch(Sampler(images, 1, seed=4)).tolist()


@pytest.mark.usefixtures("small_window")
def test_a_window_contains_whole_runs_in_random_order():
    rows = epoch(Sampler(120, 40, seed=0)).reshape(3, 40)
    for window in rows:
        runs, counts = torch.unique(window // 4, return_counts=True)
        assert counts.tolist() == [4] * 10
        assert runs.tolist() != list(range(int(runs[0]), int(runs[0]) + 10))  # runs from everywhere
        assert (window.diff() == 1).float().mean() < 0.3  # whose rows are separated


@pytest.mark.parametrize("first_rows", [None, np.array([0, 90, 93, 130])], ids=["rows", "balanced"])
@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.usefixtures("small_window")
def test_the_batch_over_all_processes_does_not_depend_on_their_number(world, first_rows):
    for batch_size in (12, 13):  # 13 is divisible by neither: the first processes get one row more
        one = Sampler(130, batch_size, seed=1, first_rows=first_rows)
        several = [
            Sampler(130, batch_size, seed=1, rank=rank, world=world, first_rows=first_rows) for rank in range(world)
        ]
        for step in (0, 7, 25):
            shares = [sampler.rows(step) for sampler in several]
            assert max(map(len, shares)) - min(map(len, shares)) == (batch_size % world > 0)
            assert sorted(torch.cat(shares).tolist()) == sorted(one.rows(step).tolist())


@pytest.mark.parametrize("balanced", [False, True])
def test_steps_of_100_million_rows_need_no_memory_and_no_earlier_steps(balanced):
    first_rows = np.linspace(0, HUNDRED_MILLION, UNITS + 1).astype(np.int64) if balanced else None
    steps = [0, 97_655, 50_000, 1_000_003]
    before = [Sampler(HUNDRED_MILLION, 1024, seed=0, first_rows=first_rows).rows(step) for step in steps]
    sampler = Sampler(HUNDRED_MILLION, 1024, seed=0, first_rows=first_rows)
    tracemalloc.start()
    again = [sampler.rows(step) for step in reversed(steps)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(torch.equal(a, b) for a, b in zip(before, reversed(again)))
    assert all(rows.min() >= 0 and rows.max() < HUNDRED_MILLION for rows in before)
    assert peak < 2e6


def test_batches_of_100_million_rows_are_nearly_as_mixed_as_a_full_shuffle():
    sampler = Sampler(HUNDRED_MILLION, 1024, seed=0)
    distinct = np.mean(
        [len(np.unique(sampler.rows(step) // (HUNDRED_MILLION // UNITS))) for step in range(0, 4000, 99)]
    )
    fully_shuffled = UNITS * (1 - (1 - 1 / UNITS) ** 1024)
    assert 0.96 < distinct / fully_shuffled < 0.99


def test_balanced_units_give_equally_many_images_and_repeat_none_early():
    first_rows = np.array([0, 2, 12, 60])
    sampler = Sampler(60, 1, seed=0, first_rows=first_rows)
    epochs = [epoch(sampler, number).numpy() for number in range(3)]
    for rows in epochs:
        assert np.histogram(rows, first_rows)[0].tolist() == [20, 20, 20]
        assert np.bincount(rows)[:12].tolist() == [10, 10] + [2] * 10
    of_largest = [rows[rows >= 12] for rows in epochs]
    seen = np.bincount(np.concatenate(of_largest) - 12, minlength=48)
    assert seen.min() == 1  # all 48 within 60 draws
    assert seen.max() == 2
    again = np.setdiff1d(of_largest[2], np.flatnonzero(seen == 1) + 12)  # from the second pass through the unit
    assert not np.isin(again, of_largest[0]).all()  # in a different order than in the first


def test_balanced_units_take_turns_in_a_different_order_in_each_epoch():
    first_rows = np.array([0, 2, 12, 60])
    sampler = Sampler(60, 1, seed=0, first_rows=first_rows)
    orders = {tuple(np.searchsorted(first_rows, epoch(sampler, number).numpy(), side="right")) for number in range(3)}
    assert len(orders) == 3


def test_the_batch_size_is_limited_to_the_number_of_images():
    sampler = Sampler(10, 64, seed=0)
    assert (sampler.batch_size, sampler.steps_per_epoch) == (10, 1)


@pytest.mark.parametrize(("images", "batch_size"), [(100, 3), (3, 100)])
def test_more_processes_than_images_in_a_batch_are_refused(images, batch_size):
    assert len(Sampler(images, batch_size, seed=0, rank=2, world=3).rows(0)) == 1
    with pytest.raises(UserError, match="a batch has 3 images for the 4 processes that train together"):
        Sampler(images, batch_size, seed=0, rank=0, world=4)
