"""The script of the rule `plan` measures this machine, and can plan with the rates that it wrote."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.planning.tiny import draw_pictures, tiny_study
from tests.warm_python import warm_python

from gensis.planning.rates import read_rates

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "plan_run.py"
STAGES = [
    "import pictures",
    "pre-training dino",
    "diffusion model of dino",
    "bank default",
    "evaluation of bank default",
    "retraining gen-dino",
    "embeddings",
    "evaluation",
    "all",
]


COMPARED = {"pretraining": None, "banks": {}, "retraining": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    draw_pictures(folder / "pictures")
    return folder


def plan(folder: Path, *options: object, status: int = 0, **changes: object) -> str:
    """Output of the script for the tiny study."""
    config = json.dumps(tiny_study(folder / "pictures", **changes).resolved())
    where = ["--images-folder", folder / "images", "--output", folder / "rates.yaml"]
    command = [warm_python(), SCRIPT, "--threads", 1, "--config", config, *where, *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def stages(text: str) -> dict[str, str]:
    """Lines of the table by stage."""
    return {line.partition("  ")[0]: line for line in text.splitlines() if line.partition("  ")[0] in STAGES}


@pytest.mark.slow
def test_the_plan_measures_each_stage_and_its_rates_plan_the_same_study_again(folder):
    measured = plan(folder)
    assert "20 images to train on, 12 to test" in measured
    assert set(stages(measured)) == set(STAGES)
    assert all(mark not in row for row in stages(measured).values() for mark in "~?>")
    rates = read_rates(folder / "rates.yaml")
    assert {rate.kind for rate in rates.rates} == {
        "import images",
        "train encoder",
        "train diffusion",
        "generate bank",
        "embed images",
        "evaluate",
    }
    again = plan(folder, "--rates", folder / "rates.yaml")
    assert stages(again) == stages(measured)


def test_a_stage_that_the_rates_do_not_know_has_a_question_mark(folder):
    (folder / "few.yaml").write_text(
        "machine: m\ncores: 2\nhas_gpu: false\nrates: [{kind: train encoder, case: other, seconds: 0.5, gflop: 1.0}]"
    )
    text = plan(folder, "--rates", folder / "few.yaml")
    assert "up to 0 MB for each shard of a bank while it is generated" in text
    found = stages(text)
    assert "~" in found["pre-training dino"]
    assert "?" in found["bank default"]
    assert ">" in found["all"]


def test_missing_rates_are_an_error_of_one_line(folder):
    (line,) = plan(folder, "--rates", folder / "none.yaml", status=1).splitlines()
    assert line.startswith("error: ")


@pytest.mark.slow
def test_a_study_that_compares_external_encoders_is_planned_with_their_networks(folder):
    encoders = {"small": {"timm": "test_vit.r160_in1k"}, "other": {"timm": "hf-hub:someone/else"}}
    measured = plan(folder, **COMPARED, encoders=encoders)
    assert set(stages(measured)) == {"import pictures", "embeddings", "evaluation", "all"}
    of_networks = [rate.case for rate in read_rates(folder / "rates.yaml").rates if rate.kind == "embed images"]
    assert sorted(of_networks) == ["encoder pixels", "encoder small"]
