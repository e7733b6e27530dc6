import tracemalloc

import numpy as np
import pytest
import torch

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


def test_up_to_a_window_an_epoch_is_all_rows_in_an_order_of_its_seed_and_number_alone():
    orders = [tuple(epoch(Sampler(100, 10, seed), number).tolist()) for seed in range(3) for number in range(3)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len(set(orders)) == 9
    assert orders[4] == tuple(epoch(Sampler(100, 25, seed=1), 1).tolist())
    assert len(epoch(Sampler(100, 7, seed=0))) == 98  # what fills no batch is left out


def test_up_to_a_window_each_row_is_as_likely_in_each_place():
    """Of 4,000 orders of five rows, by chi-squared: 16 degrees of freedom exceed 39 once in a thousand."""
    orders = np.stack([epoch(Sampler(5, 5, seed), number) for seed in range(20) for number in range(200)])
    counts = np.stack([np.bincount(place, minlength=5) for place in orders.T])
    assert ((counts - 800) ** 2 / 800).sum() < 39


@pytest.mark.parametrize("images", [41, 100, 120, 203])
@pytest.mark.usefixtures("small_window")
def test_beyond_a_window_each_row_still_comes_once_an_epoch(images):
    sampler = Sampler(images, 1, seed=3)
    first, second = epoch(sampler), epoch(sampler, 1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(images))
    assert first.tolist() != second.tolist()
    assert first.tolist() != epoch(Sampler(images, 1, seed=4)).tolist()


@pytest.mark.usefixtures("small_window")
def test_a_window_holds_whole_runs_in_random_order():
    rows = epoch(Sampler(120, 40, seed=0)).reshape(3, 40)
    for window in rows:
        runs, counts = torch.unique(window // 4, return_counts=True)
        assert counts.tolist() == [4] * 10
        assert runs.tolist() != list(range(int(runs[0]), int(runs[0]) + 10))  # runs from everywhere
        assert (window.diff() == 1).float().mean() < 0.3  # and their rows apart


@pytest.mark.parametrize("first_rows", [None, np.array([0, 90, 93, 130])], ids=["rows", "balanced"])
@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.usefixtures("small_window")
def test_all_processes_together_see_the_same_batch_however_many_they_are(world, first_rows):
    for batch_size in (12, 13):  # 13 is divided by neither: the first processes see one row more
        one = Sampler(130, batch_size, seed=1, first_rows=first_rows)
        several = [Sampler(130, batch_size, 1, rank, world, first_rows) for rank in range(world)]
        for step in (0, 7, 25):
            shares = [sampler.rows(step) for sampler in several]
            assert max(map(len, shares)) - min(map(len, shares)) == (batch_size % world > 0)
            assert sorted(torch.cat(shares).tolist()) == sorted(one.rows(step).tolist())


@pytest.mark.parametrize("balanced", [False, True])
def test_any_step_of_a_hundred_million_rows_is_the_same_in_any_order_and_takes_no_memory(balanced):
    first_rows = np.linspace(0, HUNDRED_MILLION, UNITS + 1).astype(np.int64) if balanced else None
    steps = [0, 97_655, 50_000, 1_000_003]
    before = [Sampler(HUNDRED_MILLION, 1024, 0, first_rows=first_rows).rows(step) for step in steps]
    sampler = Sampler(HUNDRED_MILLION, 1024, 0, first_rows=first_rows)
    tracemalloc.start()
    again = [sampler.rows(step) for step in reversed(steps)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(torch.equal(a, b) for a, b in zip(before, reversed(again)))
    assert all(rows.min() >= 0 and rows.max() < HUNDRED_MILLION for rows in before)
    assert peak < 2e6


def test_batches_of_a_hundred_million_rows_come_from_nearly_as_many_units_as_fully_shuffled_ones():
    sampler = Sampler(HUNDRED_MILLION, 1024, seed=0)
    distinct = np.mean(
        [len(np.unique(sampler.rows(step) // (HUNDRED_MILLION // UNITS))) for step in range(0, 4000, 99)]
    )
    fully_shuffled = UNITS * (1 - (1 - 1 / UNITS) ** 1024)
    assert 0.96 < distinct / fully_shuffled < 0.99


def test_balanced_units_give_equally_many_images_and_go_through_theirs_before_any_comes_again():
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
    again = np.setdiff1d(of_largest[2], np.flatnonzero(seen == 1) + 12)  # of the second time through them
    assert not np.isin(again, of_largest[0]).all()  # in another order than the first


def test_balanced_units_take_turns_in_another_order_in_each_epoch():
    first_rows = np.array([0, 2, 12, 60])
    sampler = Sampler(60, 1, seed=0, first_rows=first_rows)
    orders = {tuple(np.searchsorted(first_rows, epoch(sampler, number).numpy(), side="right")) for number in range(3)}
    assert len(orders) == 3


def test_a_batch_larger_than_the_data_shrinks_to_it():
    sampler = Sampler(10, 64, seed=0)
    assert (sampler.batch_size, sampler.steps_per_epoch) == (10, 1)
