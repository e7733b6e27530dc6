"""Compute time of a run, from its benchmarks."""

import re
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.figures.cost import cost, read_costs
from gensis.figures.run import Run
from gensis.progress import duration


@pytest.fixture
def costly(results: Path) -> Run:
    tiny.write_benchmark(results / "tiny", "pretrain_encoder/dino-seed0", 1000, 900)
    tiny.write_benchmark(results / "tiny", "train_diffusion/dino-seed0", 2000, 1900)
    tiny.write_benchmark(results / "tiny", "generate_bank/default-seed0-0", 300, 100)
    tiny.write_benchmark(results / "tiny", "generate_bank/default-seed0-1", 400)
    tiny.write_benchmark(results / "tiny", "retrain_encoder/gen-dino-seed0", 1500, 1400)
    return Run(results / "tiny", results / "images")


def rows(html: str) -> dict[str, list[str]]:
    found = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', html)
    return {name: re.findall(r"<td>(.*?)</td>", cells) for name, cells in found}


def test_total_of_an_arm_includes_all_that_its_bank_needs(costly: Run) -> None:
    expected = [duration(seconds) for seconds in (1500, 2000, 700, 1000 + 2000 + 700 + 1500)]
    assert rows(cost(costly))["gen-dino"] == expected
    assert rows(cost(costly))["dino"][-1] == duration(1000)


def test_times_of_jobs_of_one_stage_are_added(costly: Run) -> None:
    assert rows(cost(costly))["bank generation"] == ["1", duration(700), "&ndash;"]
    assert rows(cost(costly))["pre-training"] == ["1", duration(1000), duration(900)]


def test_time_of_a_resumed_training_covers_all_steps(results: Path, costly: Run) -> None:
    history = [(100, 5.0, 10.0), (300, 4.0, 5.0)]  # step, loss, images per second
    settings = {"batch_size": 64}
    tiny.write_training(results / "tiny/encoders/dino/seed0", ("loss", "images_per_second"), history, settings=settings)
    found = read_costs(Run(results / "tiny", results / "images"))["pretrain_encoder", "dino", 0]
    assert found.seconds == pytest.approx(100 * 64 / 10 + 200 * 64 / 5)


def test_run_without_benchmarks_has_no_section(run: Run) -> None:
    assert cost(run) == ""
