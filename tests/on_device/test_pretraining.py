"""Steps of pre-training on `cuda`: nothing waits for the GPU, all tensors are where they belong."""

import numpy as np
import pytest
import torch
from tests.on_device.fake_card import CUDA
from tests.ssl.conftest import TINY, write_bank, write_images

from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.ssl.bank_images import open_bank
from gensis.ssl.monitor import Monitor
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import World
from gensis.training.loop import train

IMAGES = 24
RESNET = {"backbone": "resnet18_cifar", "backbone_args": {"channels": (8, 8, 8, 8)}, "views": {"local_crops": 0}}
GLOBAL_ONLY = {"views": {"local_crops": 0}}
EVERY_VIEW = {"rotate": True, "stain": 0.1, "blur": (1.0, 0.1, 0.5), "solarize": 0.5, "grayscale": 0.5}
PLAIN = {
    "dino-resnet": RESNET | {"gradient_accumulation": 2},
    "dino-every-view": {"views": TINY["views"] | EVERY_VIEW, "optimizer": "sgd"},
    "simclr": {"method": "simclr"} | GLOBAL_ONLY,
    "mocov3-resnet": {"method": "mocov3"} | RESNET,
}
WITH_BANK = {
    "dino": {"gradient_accumulation": 2},
    "dino-pixel": {"interpolation": "pixel"},
    "dino-both-targets": {"disentangle_targets": "both", "generative_probability": {"start": 0.2, "end": 1}},
    "dino-bank-alone": {"real_images": False},
    "dino-added": {"generative_views": "add"},
    "simclr-both-targets": {"method": "simclr", "disentangle_targets": "both"} | GLOBAL_ONLY,
    "mocov3-both-targets": {"method": "mocov3", "disentangle_targets": "both"} | GLOBAL_ONLY,
}


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 16, 16, 3), np.uint8)


def opened(index, image_cache_gb=1.0):
    return open_images(index, CUDA, image_cache_gb, 1)


def pretrainer_of(folder, pictures, own, kind=Pretraining, image_cache_gb=1.0, **bank):
    write_images(folder, pictures)
    tiny = {key: value for key, value in TINY.items() if key != "dino" or "method" not in own}
    settings = kind.model_validate(tiny | {"precision": "bfloat16"} | own)
    images = opened(read_index(folder / "train.tsv"), image_cache_gb)
    return Pretrainer(settings, images, device=CUDA, world=World(), seed=0, **bank)


def run_step(pretrainer, card):
    """Do a step; return what waited in it, and the types of the student's outputs."""
    types = set()
    pretrainer.method.student.register_forward_hook(lambda network, views, outputs: types.add(outputs.dtype))
    card.waits()
    logged = pretrainer.step(0)
    waits = card.waits()
    assert {value.device.type for value in logged.values() if isinstance(value, torch.Tensor)} == {"cuda"}
    assert all(value.grad is not None for value in pretrainer.method.student.parameters() if value.requires_grad)
    return waits, types


@pytest.mark.parametrize("own", PLAIN.values(), ids=PLAIN)
def test_no_step_waits_for_the_gpu(card, tmp_path, pictures, own):
    pretrainer = pretrainer_of(tmp_path, pictures, own)
    assert run_step(pretrainer, card) == ({}, {torch.bfloat16})


def test_no_step_waits_for_images_that_are_decoded_batch_by_batch(card, tmp_path, pictures):
    pretrainer = pretrainer_of(tmp_path, pictures, {"precision": "float32"}, image_cache_gb=0.0)
    assert run_step(pretrainer, card) == ({}, {torch.float32})


@pytest.mark.parametrize("own", WITH_BANK.values(), ids=WITH_BANK)
def test_no_step_with_a_bank_waits_for_the_gpu(card, tmp_path, pictures, own):
    sources = np.arange(IMAGES).repeat(2)
    images, partners = pictures[sources], np.roll(sources, 2)
    write_bank(tmp_path, images, sources, -np.ones_like(sources), np.ones(len(sources)), "generative")
    write_bank(tmp_path, images, sources, partners, np.full(len(sources), 0.5), "interpolated")
    bank = {
        kind: open_bank(tmp_path, kind, sources=IMAGES, open_images=opened) for kind in ("generative", "interpolated")
    }
    pretrainer = pretrainer_of(tmp_path, pictures, own, Retraining, **bank)
    assert pretrainer.disentangles
    assert run_step(pretrainer, card) == ({}, {torch.bfloat16})


def test_the_monitor_fetches_only_what_it_reports(card, tmp_path, pictures):
    pretrainer = pretrainer_of(tmp_path, pictures, {"epochs": 1, "batch_size": IMAGES})
    kept = []
    monitor = Monitor(pretrainer, 0, 1, keep=lambda step, embeddings: kept.append(embeddings))
    card.waits()
    checkpoints = CheckpointFolder(tmp_path / "checkpoints", "encoder", "monitored")
    train(pretrainer, checkpoints, World(), CUDA, seed=0, checkpoint_seconds=1e9, watch=monitor)
    assert kept[0].device.type == "cuda"
    assert card.waits() == {
        "training.loop._Meter.row: copy to cuda": 4,
        "training.loop._Meter.row: copy to cpu": 1,
        "ssl.monitor.rankme: copy to cpu": 1,
        "ssl.monitor.rankme: item": 1,
        "ssl.monitor.view_retrieval: item": 1,
    }


def test_a_hidden_copy_to_the_cpu_is_found(card, tmp_path, pictures):
    def hidden(head, features, outputs):
        outputs.detach().cpu()

    pretrainer = pretrainer_of(tmp_path, pictures, {"method": "simclr"} | GLOBAL_ONLY)
    pretrainer.method.student.head.register_forward_hook(hidden)
    assert run_step(pretrainer, card)[0] == {"ssl.networks.BackboneWithHead.forward: copy to cpu": 1}
