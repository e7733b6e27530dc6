"""Compiled trainings of the diffusion model and the autoencoder compared with eager ones."""

import copy
import shutil

import numpy as np
import pytest
import torch
from tests.diffusion.tiny import CPU, UNET, open_features, open_pixels, write_dataset

from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.trainer import DiffusionTrainer
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.settings.diffusion import Diffusion
from gensis.training.distributed import World

COMPILERS = ("g++", "clang++")
DIFFUSION = Diffusion(**UNET | {"channels": (8,)}, batch_size=4)
AUTOENCODER = AutoencoderTraining(channels=(8, 8), batch_size=4, perceptual_weight=0)


@pytest.fixture
def make(tmp_path):
    train = write_dataset(tmp_path, 20, 8)
    features = open_features(train, np.random.default_rng(0).normal(size=(20, 6)))

    def make(kind, compile):
        start = {"device": CPU, "world": World(), "seed": 0, "compile": compile}
        if kind == "autoencoder":
            return AutoencoderTrainer(AUTOENCODER, open_pixels(train, 8), **start)
        return DiffusionTrainer(DIFFUSION, open_pixels(train, 8), features, **start)

    return make


def figures(trainer, *steps):
    """Loss and gradient norm of some steps, with random numbers as in `training.loop.train`."""
    found = []
    for step in steps:
        torch.manual_seed(step)
        row = trainer.step(step)
        found.append(torch.stack([row["loss"].detach(), row["gradient_norm"]]))
    return torch.stack(found)


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason=f"none of {', '.join(COMPILERS)} is installed")
@pytest.mark.parametrize("kind", ["diffusion", pytest.param("autoencoder", marks=pytest.mark.slow)])
def test_a_compiled_training_equals_an_eager_one_and_resumes_its_checkpoint(make, kind):
    eager, compiled = make(kind, False), make(kind, "reduce-overhead")
    figures(eager, 0)
    compiled.load_state_dict(copy.deepcopy(eager.state_dict()))
    torch.testing.assert_close(figures(compiled, 1, 2), figures(eager, 1, 2), atol=1e-5, rtol=1e-4)
    assert str(compiled.state_dict().keys()) == str(eager.state_dict().keys())
