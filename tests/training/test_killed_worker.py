"""A training in two processes: one is killed, one is stopped and waits for the other, both have other checkpoints."""

import subprocess
from pathlib import Path

from tests.warm_python import SCRIPTS, warm_python

WALK = """
import argparse, os, signal, sys
from contextlib import nullcontext
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from gensis import command
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import start_world
from gensis.training.loop import train

class Walk:
    total_steps, steps_per_row, images_per_step = 10, 5, 1

    def __init__(self, world, killed):
        self.world, self.killed, self.weight = world, killed, torch.zeros(1)

    def step(self, step):
        if self.world.rank == 1 and step == 5 and not self.killed.exists():
            self.killed.touch()
            os.kill(os.getpid(), getattr(signal, sys.argv[3]))
        self.weight = self.world.mean(self.weight + torch.rand(1))
        return {"loss": self.weight.sum()}

    def state_dict(self):
        return {"weight": self.weight, "ballast": torch.rand(1 << 24)}  # takes a while to write

    def load_state_dict(self, state):
        self.weight = state["weight"]

def main(arguments):
    root = Path(sys.argv[2])
    world, device = start_world(torch.device("cpu"))
    folder = CheckpointFolder(root / sys.argv[4].format(world.rank), "encoder", "a")
    with folder if world.is_first else nullcontext():
        walk = Walk(world, root / "killed")
        try:
            train(walk, folder, world, device, seed=0, checkpoint_seconds=0)
        finally:
            checkpoints = [path.name for path in folder.path.glob("checkpoint-*.pt")]
            (root / f"seen-by-{world.rank}").write_text(" ".join(checkpoints))
        if world.is_first:
            (root / "weight").write_text(str(walk.weight.item()))

command.run(main, argparse.Namespace())
"""


def walk(folder: Path, signal: str = "SIGKILL", checkpoints: str = "") -> subprocess.CompletedProcess:
    """Train in two processes of torchrun.

    Args:
        folder: of the training.
        signal: that the second process sends to itself, once, in step 5.
        checkpoints: subfolder of the checkpoints; `{}` is the rank of a process.
    """
    folder.mkdir(exist_ok=True)
    script = folder / "walk.py"
    script.write_text(WALK)
    launcher = [warm_python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = [script, str(SCRIPTS), str(folder), signal, checkpoints]
    return subprocess.run([*launcher, *arguments], capture_output=True, text=True)


def test_a_training_whose_worker_was_killed_ends_with_the_reason_and_resumes(tmp_path):
    (tmp_path / "undisturbed").mkdir()
    (tmp_path / "undisturbed/killed").touch()
    assert walk(tmp_path / "undisturbed").returncode == 0
    ended = walk(tmp_path / "disturbed")
    assert ended.returncode != 0
    assert "error: another process of this training ended: see its error. If it has none and nobody" in ended.stderr
    resumed = walk(tmp_path / "disturbed")
    assert "resuming from step 5 of 10" in resumed.stderr
    weights = [(tmp_path / name / "weight").read_text() for name in ("undisturbed", "disturbed")]
    assert weights[0] == weights[1]


def test_no_process_of_a_stopped_training_ends_before_its_checkpoint_is_written(tmp_path):
    assert walk(tmp_path, signal="SIGUSR1").returncode != 0
    assert (tmp_path / "seen-by-1").read_text() == "checkpoint-000000006.pt"


def test_processes_with_different_checkpoints_do_not_train(tmp_path):
    assert walk(tmp_path, checkpoints="{}").returncode != 0
    ended = walk(tmp_path, checkpoints="{}")
    assert ended.returncode != 0
    assert "have checkpoints of different steps, this one of 5: checkpoints must lie on a disk that" in ended.stderr
    assert not (tmp_path / "weight").exists()
