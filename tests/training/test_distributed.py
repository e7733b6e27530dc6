"""Training with four processes started by torchrun (gloo, CPU)."""

import json
import subprocess
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tests.ssl.conftest import TINY, write_bank
from tests.warm_python import warm_python

from gensis.images.codec import encode_png
from gensis.images.index import write_index
from gensis.images.store import write_store

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/pretrain_encoder.py"
COUNT = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import torch.distributed as dist
from gensis.training.run import run_training, start, training_parser

class Count:
    total_steps, steps_per_row, images_per_step = 4, 2, 1

    def step(self, step):
        return {"loss": float(step)}

arguments = training_parser("").parse_args()
arguments.started = 0.0
world, device = start(arguments)
group = dist.group.WORLD._get_backend(device)
run_training(
    arguments, world, device, stage="encoder", format="test/1", recipe=1, inputs={}, external_weights={},
    build=lambda folder: (Count(), lambda row: {}), write=lambda task, target: {},
)
if world.is_first:
    print(group.options._timeout.total_seconds(), dist.is_initialized())
"""


def test_four_sharded_processes_train_with_a_bank_and_publish_one_encoder(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)
    count, content = write_store(tmp_path / "train-0000.h5", map(encode_png, pictures), {})
    write_index(tmp_path / "train.tsv", [("train-0000", count, content)])
    write_bank(tmp_path / "bank", pictures, range(count), [-1] * count, [1.0] * count, "generative")
    partners = np.roll(np.arange(count), 1)
    write_bank(tmp_path / "bank", pictures, range(count), partners, [0.5] * count, "interpolated")
    launcher = [warm_python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4"]
    command = [*launcher, str(SCRIPT), "--config", json.dumps(TINY | {"bank": "b"}), "--threads", "1"]
    command += ["--train", str(tmp_path / "train.tsv"), "--bank", str(tmp_path / "bank")]
    command += ["--checkpoints", str(tmp_path / "checkpoints"), "--output"]
    sharded = ["--runtime", json.dumps({"sharding": "fsdp"})]
    first = subprocess.run([*command, str(tmp_path / "one"), *sharded], capture_output=True, text=True)
    assert first.returncode == 0, first.stderr[-3000:]
    again = subprocess.run([*command, str(tmp_path / "two")], capture_output=True, text=True)
    assert "published again" in again.stderr
    weights = load_file(tmp_path / "two/model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_processes_wait_hours_for_each_other_and_leave_their_group_at_the_end(tmp_path):
    script = tmp_path / "count.py"
    script.write_text(COUNT)
    launcher = [warm_python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    places = [f"--{name}={tmp_path / name}" for name in ("train", "checkpoints", "output")]
    ended = subprocess.run([*launcher, script, str(SCRIPT.parent), *places], capture_output=True, text=True)
    assert ended.stdout.split() == ["14400.0", "False"], ended.stderr[-3000:]
