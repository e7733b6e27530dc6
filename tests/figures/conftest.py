"""A small finished run for all tests of the report."""

from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.figures.run import Run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The folder `results` with the run `tiny`."""
    tiny.write_config(tmp_path / "tiny")
    tiny.write_scores(tmp_path / "tiny")
    tiny.write_trainings(tmp_path / "tiny")
    tiny.write_bank(tmp_path / "tiny/bank/default/seed0")
    tiny.write_images(tmp_path / "images/tissue")
    return tmp_path


@pytest.fixture
def run(results: Path) -> Run:
    """The run, opened."""
    return Run(results / "tiny", results / "images")


@pytest.fixture
def full(results: Path) -> Run:
    """The run with benchmarks and embeddings, too."""
    folder = results / "tiny"
    tiny.write_measured_embeddings(folder)
    tiny.write_benchmark(folder, "pretrain_encoder/dino-seed0", 1000, 900)
    tiny.write_benchmark(folder, "retrain_encoder/gen-dino-seed0", 1500)
    return Run(folder, results / "images")
