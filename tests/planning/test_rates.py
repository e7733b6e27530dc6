"""Rates are those of the same case, or scaled by arithmetic and said to be estimates."""

import pytest

from gensis.errors import UserError
from gensis.planning.rates import Rate, Rates, read_rates, write_rates

SMALL = Rate(kind="train encoder", case="small", seconds=0.002, job_seconds=3.0, gflop=1.0, saved_bytes=8, gpu_bytes=9)
LARGE = Rate(kind="train encoder", case="large", seconds=0.01, gflop=100.0)
TILES = Rate(kind="tile slides", case="256 px", seconds=0.001)
MACHINE = Rates(machine="a machine", cores=2, has_gpu=False, rates=(SMALL, LARGE, TILES))


def test_a_measured_case_has_its_own_rate():
    assert MACHINE.of("train encoder", "small", 0.0) == (SMALL, True)


@pytest.mark.parametrize(("gflop", "seconds"), [(2.0, 0.004), (50.0, 0.005), (400.0, 0.04)])
def test_another_network_takes_the_time_of_the_closest_one_in_proportion_to_its_arithmetic(gflop, seconds):
    rate, is_exact = MACHINE.of("train encoder", "other", gflop)
    assert rate.seconds == pytest.approx(seconds)
    assert not is_exact
    assert rate.saved_bytes == rate.gpu_bytes == 0  # another network has other weights


def test_work_without_a_network_takes_the_rate_of_its_kind():
    assert MACHINE.of("tile slides", "512 px", 0.0) == (TILES, False)


def test_a_kind_that_was_not_measured_has_no_rate():
    assert MACHINE.of("generate bank", "any", 5.0) is None


def test_rates_are_read_as_they_were_written(tmp_path):
    write_rates(tmp_path / "rates.yaml", MACHINE)
    assert read_rates(tmp_path / "rates.yaml") == MACHINE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "machine: a\ncores: 1\nhas_gpu: false\nrates: [{kind: walk, case: a, seconds: 1}]",
        "rates: [{speed: 1}]",
        "rates: a: b",
    ],
)
def test_a_file_that_holds_no_rates_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "rates.yaml").write_text(text)
    with pytest.raises(UserError, match=r"rates\.yaml") as refused:
        read_rates(tmp_path / "rates.yaml")
    assert "\n" not in str(refused.value)
