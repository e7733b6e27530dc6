"""The profile for SLURM on a cluster of two nodes: a training survives whatever ends its job."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
import yte
from PIL import Image
from safetensors.torch import load_file
from tests.slurm.conftest import Cluster
from tests.workflow.clone import TINY, copy_repository, write_config

pytestmark = pytest.mark.slow
ENCODER = "results/tiny/encoders/dino/seed0/model.safetensors"
WITHIN_SECONDS = 900
STEPS = 2100
"""Enough for half a minute: SLURM checks time limits that often."""


@dataclass
class Clone:
    """A clone of the repository on the cluster, with a profile and a study."""

    folder: Path
    cluster: Cluster

    def command(self, *arguments: str) -> list[str]:
        """Snakemake with the profile."""
        options = ["--workflow-profile", "profiles/mine", "--configfile", "study.yaml"]
        return [sys.executable, "-m", "snakemake", *arguments, *options]

    def drive(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake."""
        log = open(self.folder / "driver.log", "a")  # noqa: SIM115
        return self.cluster.start(*self.command(*arguments), folder=self.folder, stdout=log)

    @property
    def log(self) -> str:
        """What Snakemake has printed."""
        return (self.folder / "driver.log").read_text()

    def step(self) -> int:
        """Last step that the training has saved."""
        saved = self.folder.glob("results/tiny/checkpoints/encoder/*/checkpoint-*.pt")
        return max((int(path.stem.partition("-")[2]) for path in saved), default=0)

    def job(self) -> str:
        """Id of the running training's job; empty if there is none."""
        jobs = self.cluster.run("squeue", "--noheader", "--states=RUNNING", "--format=%i %k")
        return next((line.split()[0] for line in jobs.splitlines() if "pretrain_encoder" in line), "")

    def after_more_steps(self) -> str:
        """Wait until a running job has saved another checkpoint; returns the id of the job."""
        before = self.step()
        within(lambda: self.step() > before and self.job())
        return self.job()


def within(condition):
    """Wait until a condition holds, and return its value."""
    until = time.monotonic() + WITHIN_SECONDS
    while not (value := condition()):
        assert time.monotonic() < until
        time.sleep(0.5)
    return value


@pytest.fixture
def clone(cluster, tmp_path):
    """Function that makes a clone with further values of the training's resources and of the study."""

    def make(name, steps, resources={}, **runtime):
        folder = copy_repository(tmp_path / name)
        text = (folder / "profiles/slurm/profile.yaml").read_text()
        profile = yte.process_yaml(text.replace("  gpus: 1", "  gpus: 0"))
        profile |= {"slurm-init-seconds-before-status-checks": 5, "latency-wait": 5}
        profile |= {"cores": 2, "retries": 9, "set-threads": {"pretrain_encoder": 1}}
        profile["set-resources"]["pretrain_encoder"] |= {"mem_mb": 2000} | resources
        (folder / "profiles/slurm").rename(folder / "profiles/mine")
        (folder / "profiles/mine/profile.yaml").write_text(yaml.safe_dump(profile))
        for number, picture in enumerate(np.random.default_rng(0).integers(0, 256, (128, 16, 16, 3), np.uint8)):
            path = folder / f"images/{'train' if number % 8 else 'test'}/class{number % 3}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
        study = {"run": "tiny", "datasets": {"noise": {"kind": "folder", "path": "images"}}, "runtime": runtime}
        study["pretraining"] = TINY["pretraining"] | {"dataset": "noise", "epochs": steps // 7}
        study["evaluation"] = TINY["evaluation"] | {"datasets": ["noise"]}
        write_config(folder / "study.yaml", study)
        return Clone(folder, cluster)

    return make


def test_a_training_ends_with_the_same_weights_whatever_ended_its_jobs(clone):
    """Out of time, cancelled, requeued, and cancelled after Snakemake itself was killed."""
    undisturbed = clone("undisturbed", STEPS)
    assert undisturbed.drive("encoders", "embeddings").wait() == 0, undisturbed.log
    disturbed = clone("disturbed", STEPS, checkpoint_seconds=2)
    driver = disturbed.drive("encoders")
    first = disturbed.after_more_steps()
    disturbed.cluster.run("scontrol", "update", f"JobId={first}", "EndTime=now+1")
    within(lambda: first in disturbed.cluster.run("squeue", "--noheader", "--states=TIMEOUT", "--format=%i").split())
    disturbed.cluster.run("scancel", disturbed.after_more_steps())
    requeued = disturbed.after_more_steps()
    disturbed.cluster.run("scontrol", "requeue", requeued)
    assert disturbed.after_more_steps() == requeued
    driver.kill()
    driver.wait()
    disturbed.cluster.run("scancel", "--name", re.findall(r"SLURM run ID: (\S+)", disturbed.log)[-1])
    disturbed.cluster.run(*disturbed.command("--unlock"), folder=disturbed.folder)
    driver = disturbed.drive("encoders")
    disturbed.cluster.run("scancel", disturbed.after_more_steps())
    assert driver.wait() == 0, disturbed.log
    weights = [(each.folder / ENCODER).read_bytes() for each in (undisturbed, disturbed)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("nodes", "resources"),
    [(1, {}), (2, {"nodes": 2, "mpi": "srun", "tasks": 2})],
)
def test_a_cancelled_training_saves_its_last_step(clone, nodes, resources):
    training = clone(f"on-{nodes}", 400, resources, checkpoint_seconds=1e6)
    driver = training.drive("encoders")
    log = training.folder / "results/tiny/logs/pretrain_encoder/dino-seed0.log"
    within(lambda: log.exists() and re.search(r"step \d+ of", log.read_text()))
    training.cluster.run("scancel", training.job())
    assert within(training.step) > 0
    assert driver.wait() == 0, training.log
    assert "resuming" in log.read_text()
    assert load_file(training.folder / ENCODER)
