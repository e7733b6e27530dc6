"""Compute time of a run, from its benchmarks."""

import math
import re
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.artifacts.tables import write_table
from gensis.figures.arm_cost import COLUMNS, arm_costs, csv_rows
from gensis.figures.cost import cost
from gensis.figures.job_costs import read_costs
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
    """Cells of the tables of times by the name of their row."""
    html = html.partition("Compute of each encoder")[0].rpartition("<table")[0]
    found = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', html)
    return {name: re.findall(r"<td>(.*?)</td>", cells) for name, cells in found}


def test_total_of_an_arm_includes_all_that_its_bank_needs(costly: Run) -> None:
    expected = [duration(seconds) for seconds in (1500, 2000, 700, 1000 + 2000 + 700 + 1500)]
    assert rows(cost(costly))["gen-dino"] == expected
    assert rows(cost(costly))["dino"][-1] == duration(1000)


def test_jobs_that_an_earlier_study_was_divided_into_are_not_counted(results: Path, costly: Run) -> None:
    units = [("slide-a", "", 1), ("slide-b", "train", 2), ("slide-c", "test", 1)]
    write_table(results / "images/tissue/units.tsv", ("unit", "split", "images"), units)
    for number in range(4):
        tiny.write_benchmark(results / "tiny", f"embed_images/dino-tissue-seed0-{number:04d}", 10)
        tiny.write_benchmark(results / "tiny", f"generate_bank/default-seed0-{number}", 10)
        tiny.write_benchmark(results / "tiny", f"generate_bank/gone-seed0-{number}", 10)
    for job in ("retrain_encoder/gone", "evaluate_encoder/gone-tissue", "embed_images/dino-gone", "evaluate_bank/gone"):
        tiny.write_benchmark(results / "tiny", f"{job}-seed0", 10)
    tiny.write_benchmark(results / "tiny", "pretrain_encoder/dino-seed9", 10)
    found = read_costs(Run(results / "tiny", results / "images"))
    assert found["embed_images", "dino-tissue", 0].seconds == 20  # a part of each split
    assert found["generate_bank", "default", 0].seconds == 20
    assert not [key for key in found if "gone" in key[1] or key[2] == 9]


def test_times_of_jobs_of_one_stage_are_added(costly: Run) -> None:
    assert rows(cost(costly))["bank generation"] == ["1", duration(700), "&ndash;"]
    assert rows(cost(costly))["pre-training"] == ["1", duration(1000), duration(900)]


def test_time_of_a_resumed_training_covers_all_steps(results: Path, costly: Run) -> None:
    history = [(100, 5.0, 10.0), (300, 4.0, 5.0)]  # step, loss, images per second
    settings = {"batch_size": 64}
    tiny.write_training(results / "tiny/encoders/dino/seed0", ("loss", "images_per_second"), history, settings=settings)
    found = read_costs(Run(results / "tiny", results / "images"))["pretrain_encoder", "dino", 0]
    assert found.seconds == pytest.approx(100 * 64 / 10 + 200 * 64 / 5)


def test_cpu_time_of_a_resumed_training_is_that_of_its_last_job_in_proportion(results: Path, costly: Run) -> None:
    history = [(100, 5.0, 10.0), (300, 4.0, 5.0)]
    settings = {"batch_size": 64}
    tiny.write_training(results / "tiny/encoders/dino/seed0", ("loss", "images_per_second"), history, settings=settings)
    found = read_costs(Run(results / "tiny", results / "images"))["pretrain_encoder", "dino", 0]
    assert found.processor_seconds == pytest.approx(found.seconds * 900 / 1000)


RETRAINING = {
    "gen-dino": {"bank": "default"},
    "second": {"bank": "round-two", "epochs": 300, "disentangle_weight": 0},
    "nearest": {"bank": "near", "disentangle_weight": 0},
    "repeated": {"bank": "own", "disentangle_weight": 0},
    "longer": {"epochs": 200},
    "continued": {"init": "dino"},
}
BANKS = {
    "default": {"variants": 2, "alphas": [0.25, 0.75], "sampling_steps": 10, "guidance": 2.0},
    "round-two": {"encoder": "gen-dino", "alphas": [], "variants": 1, "sampling_steps": 5, "guidance": 1},
    "near": {"kind": "neighbours"},
    "own": {"kind": "sources"},
}


@pytest.fixture
def arms(results: Path) -> Run:
    """Two global views alone, in batches of two: of five images an epoch trains four."""
    pretraining = {"dataset": "tissue", "image_px": 16, "views": {"local_crops": 0}, "batch_size": 2}
    diffusion = {"channels": [8, 8], "steps": 50, "batch_size": 4}
    tiny.write_config(
        results / "tiny", pretraining=pretraining, diffusion=diffusion, banks=BANKS, retraining=RETRAINING
    )
    return Run(results / "tiny", results / "images")


def test_forward_passes_are_counted_for_an_arm_and_for_all_that_it_needs(arms: Run) -> None:
    found = {each.encoder: each for each in arm_costs(arms, {})}
    plain, disentangling = 4 * 100 * 8, 4 * 100 * 12  # images, epochs; 2 + 3 x 2 passes, and 3 + 3 x 3
    own = {name: each.forward_passes for name, each in found.items()}
    assert own == {
        "dino": plain,
        "gen-dino": disentangling,
        "second": 3 * plain,
        "nearest": plain,
        "repeated": plain,
        "longer": 2 * plain,
        "continued": plain,
    }
    total = {name: each.total_forward_passes for name, each in found.items()}
    assert total == own | {
        "gen-dino": plain + disentangling,
        "second": plain + disentangling + 3 * plain,
        "nearest": 2 * plain,
        "continued": 2 * plain,
    }


def test_denoiser_passes_are_those_of_training_and_of_all_images_of_the_banks(arms: Run) -> None:
    found = {each.encoder: each.total_denoiser_passes for each in arm_costs(arms, {})}
    training, first, second = 50 * 4 * 3, 5 * 4 * 10 * 2, 5 * 1 * 5
    assert found == dict.fromkeys(found, 0) | {
        "gen-dino": training + first,
        "second": 2 * training + first + second,
    }


def test_hours_are_those_of_all_jobs_that_an_arm_needs(costly: Run) -> None:
    found = {each.encoder: each for each in arm_costs(costly, read_costs(costly))}["gen-dino"]
    assert (found.hours, found.total_hours) == pytest.approx((1500 / 3600, (1000 + 2000 + 700 + 1500) / 3600))
    assert found.cpu_hours == pytest.approx(1400 / 3600)
    assert math.isnan(found.total_cpu_hours)  # one shard of the bank was not measured
    assert (found.gpu_hours, found.total_gpu_hours) == (0, 0)


def test_jobs_on_a_gpu_count_as_gpu_hours(results: Path, costly: Run) -> None:
    assert "GPU hours</th>" not in cost(costly)
    tiny.write_training(results / "tiny/encoders/gen-dino/seed0", ("loss",), [(10, 1.0)], device="NVIDIA H100")
    run = Run(results / "tiny", results / "images")
    found = {each.encoder: each for each in arm_costs(run, read_costs(run))}
    assert (found["gen-dino"].gpu_hours, found["dino"].gpu_hours) == pytest.approx((1500 / 3600, 0))
    assert found["gen-dino"].total_gpu_hours == pytest.approx(1500 / 3600)
    assert "total GPU hours</th>" in cost(run)


def test_the_csv_has_a_line_for_each_encoder_and_empty_cells_for_unknown_numbers(arms: Run) -> None:
    rows = list(csv_rows(arms, {}))
    assert [row[0] for row in rows] == ["dino", *RETRAINING]
    named = dict(zip(COLUMNS, rows[0]))
    assert (named["forward_passes"], named["hours"], named["total_cpu_hours"]) == (3200, "", "")


def test_run_without_benchmarks_has_no_section(run: Run) -> None:
    assert cost(run) == ""
