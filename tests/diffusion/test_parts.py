"""Batches of the diffusion model and the autoencoder that do not fit in memory are divided."""

import pytest
import torch
from tests.diffusion.tiny import CPU, UNET, open_features, open_pixels, write_dataset

from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.optimization import OptimizerStep
from gensis.diffusion.trainer import DiffusionTrainer
from gensis.errors import UserError
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.settings.diffusion import Diffusion
from gensis.training.distributed import World

IMAGES = 16


@pytest.fixture(scope="module")
def train_tsv(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("images"), 2 * IMAGES, 16)


def diffusion(train_tsv):
    embeddings = torch.randn(2 * IMAGES, 12, generator=torch.Generator().manual_seed(3))
    return DiffusionTrainer(
        Diffusion(**UNET, batch_size=IMAGES, condition_noise=0.1),
        open_pixels(train_tsv, 16),
        open_features(train_tsv, embeddings.numpy()),
        device=CPU,
        world=World(),
        seed=0,
    )


def autoencoder(train_tsv):
    settings = AutoencoderTraining(channels=(8, 16), batch_size=IMAGES, perceptual_weight=0)
    return AutoencoderTrainer(settings, open_pixels(train_tsv, 16), device=CPU, world=World(), seed=0)


def network(trainer):
    return trainer.denoiser if isinstance(trainer, DiffusionTrainer) else trainer.reconstruct


def full_above(trainer, images):
    """Let the network's memory be full with more than so many images."""

    def check(module, inputs):
        if len(inputs[0]) > images:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 2.00 GiB")

    network(trainer).register_forward_pre_hook(check)
    return trainer


def stepped(trainer):
    torch.manual_seed(5)
    return trainer.step(0)


@pytest.mark.parametrize("make", [diffusion, autoencoder])
def test_a_step_that_does_not_fit_is_repeated_in_parts_with_equal_results(make, train_tsv, caplog):
    whole, divided = make(train_tsv), full_above(make(train_tsv), IMAGES // 3)
    torch.testing.assert_close(stepped(divided), stepped(whole), atol=1e-6, rtol=1e-4)
    for one, other in zip(network(whole).parameters(), network(divided).parameters()):
        torch.testing.assert_close(other.grad, one.grad, atol=1e-6, rtol=1e-3)
    assert "full with 8 images at a time: repeating the step in 4 parts" in caplog.text


@pytest.mark.parametrize(
    ("images", "processes", "advice"),
    [(1, 1, "or choose fewer channels or a smaller image_px"), (IMAGES, 2, "or the stage's batch_size, and run again")],
)
def test_a_step_that_cannot_be_divided_says_what_to_lower(images, processes, advice):
    def full(part):
        raise torch.OutOfMemoryError("out of memory. Tried to allocate 2.00 GiB")

    step = OptimizerStep(torch.nn.Linear(1, 1), 0.1, 1, World(0, processes))
    with pytest.raises(UserError, match=f"{images} images at a time: lower runtime.image_cache_gb,? {advice}"):
        step.step(full, images, 0)
