"""Four processes (gloo, CPU) train like one on the same batches, and can resume its checkpoints."""

from importlib.util import find_spec

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
from gensis.ssl.backbone import create_backbone, save_encoder
from gensis.ssl.preprocessing import Preprocessing
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

PROCESSES, HALF, STEPS = 4, 2, 4
SETTINGS = TINY | {"drop_path": 0.0, "learning_rate": 0.01, "bank": "b"}
SETTINGS["dino"] = TINY["dino"] | {"freeze_last_layer": 0.5}
TWO_BLOCKS = {"backbone_args": TINY["backbone_args"] | {"depth": 2}}
# The head alone for one epoch of three steps, which ends between two of the steps below.
CONTINUED = TWO_BLOCKS | {"init": "theirs", "continued": {"frozen_blocks": 1, "layer_decay": 0.5, "head_epochs": 1}}
ADAPTERS = TWO_BLOCKS | {"init": "theirs", "continued": {"frozen_blocks": 1, "lora": {"rank": 2, "alpha": 4}}}
KINDS = {"plain": {}, "continued": CONTINUED}
WAYS = {
    "copies": ("plain", {}, Runtime()),
    "copies in parts": ("plain", {"gradient_accumulation": 2}, Runtime()),
    "sharded": ("plain", {}, Runtime(sharding="fsdp")),
    "continued": ("continued", {}, Runtime()),
    "continued, sharded": ("continued", {}, Runtime(sharding="fsdp")),
}
if find_spec("peft"):
    KINDS["adapters"] = ADAPTERS
    WAYS["adapters"] = ("adapters", {}, Runtime())
    WAYS["adapters, sharded"] = ("adapters", {}, Runtime(sharding="fsdp"))


def learn(folder, world, settings, runtime, first=0, last=STEPS, state=None):
    """Train some steps; return the losses, and state and published weights after them."""
    images = open_images(read_index(folder / "train.tsv"), CPU, 1.0, 1)
    start = {"init": folder / "theirs"} if "init" in settings else {}
    settings = Retraining(**SETTINGS | settings)
    pretrainer = Pretrainer(settings, images, device=CPU, world=world, seed=0, runtime=runtime, **start)
    if state:
        pretrainer.load_state_dict(state)
    losses = []
    for step in range(first, last):
        share = batch(step, with_bank=True).split(world.size)[world.rank]
        figures = pretrainer.learn(share, step)
        losses.append(world.mean(figures["loss"].clone()).item())
    return losses, pretrainer.state_dict(), pretrainer.encoder().state_dict()


def train_as_one_of_four(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    assert World(rank, PROCESSES).largest(rank) == PROCESSES - 1
    for name, (kind, settings, runtime) in WAYS.items():
        half = torch.load(folder / f"half {kind}.pt")
        end = learn(folder, World(rank, PROCESSES), KINDS[kind] | settings, runtime, HALF, STEPS, half)
        if rank == 0:
            torch.save(end, folder / f"{name}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8))
    torch.manual_seed(0)
    network, arguments = create_backbone(TINY["backbone"], 16, TWO_BLOCKS["backbone_args"])
    of_theirs = {"name": TINY["backbone"], "arguments": arguments}
    save_encoder(network, folder / "theirs", preprocessing=Preprocessing((16, 16), (0.4,) * 3, (0.3,) * 3), **of_theirs)
    return folder


@pytest.fixture(scope="module")
def one(folder):
    return {kind: learn(folder, World(), settings, Runtime()) for kind, settings in KINDS.items()}


@pytest.fixture(scope="module")
def four(folder):
    for kind, settings in KINDS.items():
        half = learn(folder, World(), settings, Runtime(), last=HALF)[1]
        torch.save(half, folder / f"half {kind}.pt")
    torch.multiprocessing.spawn(train_as_one_of_four, (folder,), nprocs=PROCESSES)
    return {name: torch.load(folder / f"{name}.pt") for name in WAYS}


def assert_close(one, other):
    """Adam turns rounding errors of small gradients into a fraction of a step: here at most a twentieth."""
    losses, others = one[0][-len(other[0]) :], other[0]
    assert others == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(other[1:], one[1:], atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_four_processes_resume_a_checkpoint_of_one_with_equal_results(one, four, way):
    assert_close(one[WAYS[way][0]], four[way])


def test_one_process_resumes_a_checkpoint_of_four(folder, four):
    states = [four[way][1] for way in ("copies", "sharded")]
    assert_close(*(learn(folder, World(), {}, Runtime(), STEPS, STEPS + 1, state) for state in states))
