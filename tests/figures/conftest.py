"""A small finished run for all tests of the page."""

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
