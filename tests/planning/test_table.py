"""The plan adds up jobs, units and seeds."""

from dataclasses import replace

import pytest

from gensis.planning.rates import Rate, Rates
from gensis.planning.table import lines, rows, total
from gensis.planning.work import Work

RATES = Rates(
    machine="a machine",
    cores=4,
    has_gpu=False,
    rates=(
        Rate(kind="tile slides", case="tiles", seconds=0.01, job_seconds=2.0),
        Rate(kind="train encoder", case="net", seconds=0.5, job_seconds=10.0, gflop=1.0, saved_bytes=1000, gpu_bytes=7),
        Rate(kind="generate bank", case="unet", seconds=1.0, gflop=1.0),
    ),
)
TILING = Work(
    stage="tiling",
    subject="a",
    kind="tile slides",
    case="tiles",
    jobs=10,
    images=1000,
    units=1000,
    memory_bytes=5,
    seeds=1,
)
TRAINING = Work(
    stage="training",
    subject="b",
    kind="train encoder",
    case="net",
    images=20,
    units=100,
    saved=1,
    memory_bytes=9,
    seeds=3,
)
BANK = Work(
    stage="bank",
    subject="c",
    kind="generate bank",
    case="unet",
    jobs=2,
    units=60,
    disk_bytes=40,
    memory_bytes=1,
    seeds=3,
)


def planned(works, gpus=0):
    return rows(works, RATES, gpus)


def test_time_is_that_of_starts_and_units_divided_by_the_jobs_that_run_at_once():
    tiling, training = planned([TILING, TRAINING])
    assert tiling.seconds == (10 * 2.0 + 1000 * 0.01) / 2  # two jobs of two threads on four cores
    assert training.seconds == 10 + 100 * 0.5


def test_gpus_share_a_training_and_the_shards_of_a_bank_and_tile_nothing():
    tiling, training, bank = planned([TILING, TRAINING, BANK], gpus=4)
    assert tiling.seconds == 15
    assert training.seconds == (10 + 50) / 4
    assert bank.seconds == 60 / 2  # two shards


def test_works_of_one_stage_are_one_row():
    (row,) = planned([BANK, BANK])
    assert (row.seconds, row.passes, row.disk_bytes, row.memory_bytes) == (120, 120, 80, 1)


def test_works_that_run_once_for_all_seeds_count_once():
    every_seed, once = planned([replace(BANK, stage="every seed"), replace(BANK, stage="once", seeds=1)])
    (both,) = planned([BANK, replace(BANK, seeds=1)])
    for name in ("seconds", "passes", "disk_bytes"):
        in_all = getattr(every_seed, name) * every_seed.seeds + getattr(once, name)
        assert getattr(both, name) * both.seeds == pytest.approx(in_all)


def test_a_stage_without_a_rate_has_no_time_and_the_total_says_that_it_is_more():
    unknown = Work(stage="x", subject="x", kind="embed images", case="y", units=5, gflop=1.0, memory_bytes=1, seeds=1)
    found = planned([TILING, unknown])
    assert [row.is_partial for row in found] == [False, True]
    assert "?" in lines(found)[2]
    assert "> 15 s" in lines(found)[-1]
    assert total(found).seconds == 15


def test_estimates_are_marked_and_measured_stages_are_not():
    other = Work(
        stage="other",
        subject="b",
        kind="train encoder",
        case="other net",
        units=100,
        gflop=2.0,
        memory_bytes=1,
        seeds=1,
    )
    training, estimated = lines(planned([TRAINING, other]))[1:3]
    assert "~" not in training
    assert "~110 s" not in estimated
    assert "~2 min" in estimated  # 10 s and 100 units of 1 s


def test_the_last_line_has_all_seeds():
    found = lines(planned([TILING, TRAINING]))
    assert found[-1].split()[:1] == ["all"]
    assert "75 s" in found[-1]  # 15 + 60
    assert "3 min" in found[-1]  # 15 + 3 x 60


def test_weights_that_are_saved_count_as_disk_space():
    (row,) = planned([TRAINING])
    assert row.disk_bytes == 1000
    assert row.gpu_bytes == 7


@pytest.mark.parametrize(("bytes_", "text"), [(0, ""), (1_500_000, "2 MB"), (2_340_000_000, "2.3 GB")])
def test_sizes_have_units(bytes_, text):
    work = Work(
        stage="tiling",
        subject="a",
        kind="tile slides",
        case="tiles",
        units=1,
        disk_bytes=bytes_,
        memory_bytes=0,
        seeds=1,
    )
    assert lines(planned([work]))[1].endswith(text)
