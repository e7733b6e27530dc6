"""A training process that is killed and resumed ends with the same weights, byte for byte (on the CPU)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.warm_python import warm_python
from tests.workflow.clone import TINY

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
SAVE_ALWAYS = json.dumps({"checkpoint_seconds": 0})


@pytest.fixture
def commands(finished, tmp_path):
    """Command lines of the two trainings on the finished run's images, as functions of checkpoints and output."""
    results = finished.clone / "results"
    train = ["--train", str(results / "images/tissue/train.tsv")]
    part = results / "tiny/embeddings/dino/tissue/seed0/part-0000.h5"
    encoder = json.dumps(TINY["pretraining"] | {"dataset": "tissue", "epochs": 6})
    diffusion = json.dumps(TINY["diffusion"] | {"image_px": 16, "steps": 30})

    def command(stage, checkpoints, output, runtime="{}", config=None):
        script = {"encoder": "pretrain_encoder.py", "diffusion": "train_diffusion.py"}[stage]
        settings = config or {"encoder": encoder, "diffusion": diffusion}[stage]
        extra = ["--embeddings", str(part)] if stage == "diffusion" else []
        return [
            *(sys.executable, str(SCRIPTS / script), "--config", settings, "--runtime", runtime, "--threads", "1"),
            *(*train, *extra, "--checkpoints", str(tmp_path / checkpoints), "--output", str(tmp_path / output)),
        ]

    return command


def weights(folder: Path) -> bytes:
    return next(folder.rglob("*.safetensors")).read_bytes()


def kill_after_a_checkpoint(command: list[str], steps: int) -> None:
    """Start a training, and kill -9 it when its log reports ``steps`` steps."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if f"step {steps} of" in line:
            process.kill()
            break
    process.stderr.close()
    assert process.wait() == -9


def run(command: list[str]) -> str:
    """Run a training to its end; returns its log."""
    done = subprocess.run([warm_python(), *command[1:]], check=True, stderr=subprocess.PIPE, text=True)
    return done.stderr


@pytest.mark.parametrize(("stage", "steps"), [("encoder", 12), ("diffusion", 15)])
def test_a_killed_and_resumed_training_equals_an_undisturbed_one(commands, tmp_path, stage, steps):
    run(commands(stage, "whole", "undisturbed"))
    kill_after_a_checkpoint(commands(stage, "killed", "resumed", SAVE_ALWAYS), steps)
    assert not (tmp_path / "resumed/provenance.json").exists()
    assert "resuming from step" in run(commands(stage, "killed", "resumed", SAVE_ALWAYS))
    assert weights(tmp_path / "resumed") == weights(tmp_path / "undisturbed")


def test_a_changed_config_trains_anew_and_the_old_one_is_published_again(commands, tmp_path):
    kill_after_a_checkpoint(commands("diffusion", "c", "one", SAVE_ALWAYS), 15)
    changed = json.dumps(TINY["diffusion"] | {"image_px": 16, "steps": 31})
    assert "resuming from" not in run(commands("diffusion", "c", "two", config=changed))
    assert "published again" in run(commands("diffusion", "c", "three", config=changed))
    assert weights(tmp_path / "two") == weights(tmp_path / "three")
