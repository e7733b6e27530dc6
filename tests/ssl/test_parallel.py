"""Two processes (gloo, CPU) train like one on the same batches, and can resume its checkpoints."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from tests.ssl.conftest import CPU, TINY, write_images
from tests.ssl.test_step import batch

from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.settings.pretraining import Retraining
from gensis.settings.runtime import Runtime
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

HALF, STEPS = 2, 4
SETTINGS = TINY | {"drop_path": 0.0, "learning_rate": 0.01, "bank": "b"}
SETTINGS["dino"] = TINY["dino"] | {"freeze_last_layer": 0.5}
WAYS = {
    "copies": ({}, Runtime()),
    "copies in parts": ({"gradient_accumulation": 2}, Runtime()),
    "sharded": ({}, Runtime(sharding="fsdp")),
}


def learn(folder, world, settings, runtime, first=0, last=STEPS, state=None):
    """Train some steps; return the losses, and state and published weights after them."""
    images = open_images(read_index(folder / "train.tsv"), CPU, 1.0, 1)
    pretrainer = Pretrainer(Retraining(**SETTINGS | settings), images, device=CPU, world=world, seed=0, runtime=runtime)
    if state:
        pretrainer.load_state_dict(state)
    losses = []
    for step in range(first, last):
        share = batch(step, with_bank=True).split(world.size)[world.rank]
        figures = pretrainer.learn(share, step)
        losses.append(world.mean(figures["loss"].clone()).item())
    return losses, pretrainer.state_dict(), pretrainer.encoder().state_dict()


def train_as_one_of_two(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    for name, (settings, runtime) in WAYS.items():
        end = learn(folder, World(rank, 2), settings, runtime, HALF, STEPS, torch.load(folder / "half.pt"))
        if rank == 0:
            torch.save(end, folder / f"{name}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def one(folder):
    return learn(folder, World(), {}, Runtime())


@pytest.fixture(scope="module")
def two(folder):
    torch.save(learn(folder, World(), {}, Runtime(), last=HALF)[1], folder / "half.pt")
    torch.multiprocessing.spawn(train_as_one_of_two, (folder,), nprocs=2)
    return {name: torch.load(folder / f"{name}.pt") for name in WAYS}


def assert_close(one, other):
    """Adam turns rounding errors of small gradients into a fraction of a step: here at most a twentieth."""
    losses, others = one[0][-len(other[0]) :], other[0]
    assert others == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(other[1:], one[1:], atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_resume_a_checkpoint_of_one_with_equal_results(one, two, way):
    assert_close(one, two[way])


def test_one_process_resumes_a_checkpoint_of_two(folder, two):
    states = [two[way][1] for way in ("copies", "sharded")]
    assert_close(*(learn(folder, World(), {}, Runtime(), STEPS, STEPS + 1, state) for state in states))
