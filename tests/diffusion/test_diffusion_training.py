import json

import numpy as np
import pytest
import torch
from tests.diffusion.tiny import CPU, UNET, open_features, open_pixels, run_script, write_dataset

from gensis.diffusion.autoencoder import create_autoencoder
from gensis.diffusion.average import update_average, warmed_decay
from gensis.diffusion.inputs import Flipped, Pixels, latents_of
from gensis.diffusion.loading import load_pipeline
from gensis.diffusion.pipeline import GenSISPipeline, to_conditions
from gensis.diffusion.trainer import DiffusionTrainer, drop, noisy_conditions
from gensis.images.embeddings import write_embeddings
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.settings.diffusion import Diffusion
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import World
from gensis.training.loop import train

WIDTH = 12


def make_trainer(train_tsv, embeddings, **settings) -> DiffusionTrainer:
    features = open_features(train_tsv, embeddings.numpy())
    return DiffusionTrainer(
        Diffusion(**(UNET | settings)), open_pixels(train_tsv, 16), features, device=CPU, world=World(), seed=0
    )


@pytest.fixture(scope="module")
def train_tsv(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("images"), 8, 16)


@pytest.fixture(scope="module")
def embeddings():
    return torch.randn(8, WIDTH, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("denoiser", "objective", "steps", "sampling_steps", "share"),
    [
        ("additive_embedding", "flow", 200, 5, 0.3),
        pytest.param("additive_embedding", "epsilon", 300, 25, 0.65, marks=pytest.mark.slow),
        ("cross_attention", "flow", 200, 5, 0.4),
    ],
)
def test_training_images_are_reproduced_from_their_embeddings(
    train_tsv, embeddings, tmp_path, denoiser, objective, steps, sampling_steps, share
):
    settings = {
        "denoiser": denoiser,
        "channels": (16, 32),
        "steps": steps,
        "batch_size": 32,
        "ema_decay": 0.98,
        "learning_rate": 4e-3,
    }
    trainer = make_trainer(train_tsv, embeddings, objective=objective, **settings)
    with CheckpointFolder(tmp_path, "diffusion", "overfit") as folder:
        history = train(trainer, folder, World(), CPU, seed=0, checkpoint_seconds=1000)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    pipeline = GenSISPipeline(trainer.average, trainer.scheduler, condition=trainer.condition)
    noise = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    generated = pipeline(embeddings, guidance=1, num_inference_steps=sampling_steps, noise=noise).float()
    images = trainer.inputs.images.batch(torch.arange(8)).float()
    error = (generated - images).square().mean().sqrt()
    error_of_others = (
        torch.stack([(generated.roll(by, 0) - images).square().mean() for by in range(1, 8)]).mean().sqrt()
    )
    assert error < share * error_of_others


@pytest.mark.slow
def test_sixteen_images_are_reproduced_at_25_db(tmp_path):
    train_tsv = write_dataset(tmp_path / "images", 16, 16)
    embeddings = torch.randn(16, WIDTH, generator=torch.Generator().manual_seed(3))
    settings = {"channels": (16, 32), "steps": 600, "batch_size": 32, "ema_decay": 0.99, "learning_rate": 4e-3}
    trainer = make_trainer(train_tsv, embeddings, **settings)
    with CheckpointFolder(tmp_path, "diffusion", "overfit") as folder:
        train(trainer, folder, World(), CPU, seed=0, checkpoint_seconds=1000)
    noise = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    pipeline = GenSISPipeline(trainer.average, trainer.scheduler, condition=trainer.condition)
    generated = pipeline(embeddings, guidance=1, num_inference_steps=10, noise=noise).float()
    error = (generated - trainer.inputs.images.batch(torch.arange(16))).square().mean((1, 2, 3))
    assert (10 * torch.log10(255**2 / error)).min() >= 25


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_training_ends_with_the_same_weights(train_tsv, embeddings, tmp_path, precision):
    class Killed(Exception):
        pass

    class KilledTrainer(DiffusionTrainer):
        def step(self, step):
            if step == 4:
                raise Killed
            return super().step(step)

    def arguments():
        settings = Diffusion(**UNET, steps=7, batch_size=4, precision=precision)
        return settings, open_pixels(train_tsv, 16), open_features(train_tsv, embeddings.numpy())

    straight, killed, resumed = (
        DiffusionTrainer(*arguments(), device=CPU, world=World(), seed=0),
        KilledTrainer(*arguments(), device=CPU, world=World(), seed=0),
        DiffusionTrainer(*arguments(), device=CPU, world=World(), seed=0),
    )
    with CheckpointFolder(tmp_path, "diffusion", "straight") as folder:
        train(straight, folder, World(), CPU, seed=0, checkpoint_seconds=1000)
    with pytest.raises(Killed), CheckpointFolder(tmp_path, "diffusion", "resumed") as folder:
        train(killed, folder, World(), CPU, seed=0, checkpoint_seconds=0)
    with CheckpointFolder(tmp_path, "diffusion", "resumed") as folder:
        train(resumed, folder, World(), CPU, seed=0, checkpoint_seconds=0)
    for model in ("denoiser", "average"):
        weights = getattr(straight, model).state_dict()
        assert all(weights[name].equal(weight) for name, weight in getattr(resumed, model).state_dict().items())


def test_dropped_conditions_are_zeros_and_others_unchanged():
    torch.manual_seed(0)
    conditions = torch.randn(5000, 3)
    dropped = drop(conditions, 0.1)
    gone = dropped.eq(0).all(1)
    assert abs(gone.float().mean() - 0.1) < 0.02
    assert dropped[~gone].equal(conditions[~gone])
    assert drop(conditions, 0.0).equal(conditions)
    assert drop(conditions, 1.0).eq(0).all()


def test_noisy_conditions_keep_their_norm_and_have_the_expected_angle():
    embeddings = torch.randn(4, 400, generator=torch.Generator().manual_seed(0))
    clean = to_conditions(embeddings)
    assert noisy_conditions(embeddings, 0.0).equal(clean)
    torch.manual_seed(0)
    noisy = noisy_conditions(embeddings.repeat(500, 1), 0.75)
    torch.testing.assert_close(noisy.square().mean(1), torch.ones(2000))
    cosine = torch.cosine_similarity(noisy, clean.repeat(500, 1))
    assert abs(cosine.mean() - 1 / (1 + 0.75**2) ** 0.5) < 0.005


def test_mirror_images_are_rows_after_the_images(train_tsv):
    pixels = open_pixels(train_tsv, 16)
    both = Pixels(Flipped(pixels.images), 16)
    images = pixels.batch(torch.arange(8))
    assert len(both) == 16
    rows = torch.tensor([3, 11, 0, 8])
    assert both.batch(rows).equal(torch.stack([images[3], images[3].flip(2), images[0], images[0].flip(2)]))


@pytest.mark.slow
def test_mirror_images_are_reproduced_from_their_own_embeddings(train_tsv, embeddings, tmp_path):
    both = torch.cat([embeddings, torch.randn(8, WIDTH, generator=torch.Generator().manual_seed(4))])
    keys, unit = np.arange(8).astype(str), np.zeros(8, np.int32)
    blocks = (each.numpy() for each in both.split(8))
    write_embeddings(
        tmp_path / "part.h5", [next(blocks)], unit=unit, units=["train-0000"], keys=keys, flipped=[next(blocks)]
    )
    settings = UNET | {"channels": [16, 32], "image_px": 16, "flips": True, "steps": 300, "batch_size": 32}
    settings |= {"ema_decay": 0.98, "learning_rate": 4e-3}
    run_script(
        "train_diffusion",
        *("--config", json.dumps(settings), "--train", train_tsv, "--embeddings", tmp_path / "part.h5"),
        *("--seed", 0, "--gpus", 0, "--checkpoints", tmp_path / "checkpoints", "--output", tmp_path / "diffusion"),
    )
    pipeline = load_pipeline(tmp_path / "diffusion", WIDTH, CPU)
    noise = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    generated = pipeline(both, guidance=1, num_inference_steps=5, noise=noise).float()
    images = open_pixels(train_tsv, 16).images.batch(torch.arange(8)).float()
    wanted, mirrored = torch.cat([images, images.flip(3)]), torch.cat([images.flip(3), images])
    error, error_of_mirrored = ((generated - other).square().mean().sqrt() for other in (wanted, mirrored))
    assert error < 0.3 * error_of_mirrored


def test_an_epoch_has_every_image_and_a_small_set_fills_large_batches(train_tsv, embeddings):
    trainer = make_trainer(train_tsv, embeddings, batch_size=2)
    assert sorted(torch.cat([trainer.shuffled.rows(step) for step in range(4)]).tolist()) == list(range(8))
    large = make_trainer(train_tsv, embeddings, batch_size=24)
    assert torch.bincount(large.shuffled.rows(5)).tolist() == [3] * 8


def test_average_follows_the_weights_with_a_decay_that_warms_up():
    model, average = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    expected = 0.75 * average.weight.detach() + 0.25 * model.weight.detach()
    update_average(average, model, 0.75)
    torch.testing.assert_close(average.weight.detach(), expected)
    decays = [warmed_decay(0.9, step) for step in range(200)]
    assert decays[0] == pytest.approx(0.1)
    assert np.all(np.diff(decays) >= 0)
    assert decays[-1] == 0.9


def test_the_denoiser_is_trained_with_noisy_and_dropped_conditions(train_tsv, embeddings):
    noisy = {"conditioning_dropout": 0.25, "condition_noise": 0.75}
    trainer, seen = make_trainer(train_tsv, embeddings, batch_size=200, **noisy), []
    trainer.denoiser.register_forward_pre_hook(
        lambda network, inputs, given: seen.append(given["class_labels"]), with_kwargs=True
    )
    torch.manual_seed(0)
    trainer.step(0)
    clean, gone = to_conditions(embeddings)[trainer.shuffled.rows(0)], seen[0].eq(0).all(1)
    assert gone.float().mean().item() == pytest.approx(0.25, abs=0.1)
    cosine = torch.cosine_similarity(seen[0], clean)[~gone]
    assert cosine.mean().item() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("in_latents", [True, False])
def test_the_sampler_of_epsilon_clips_pixels_and_not_latents(in_latents, train_tsv, embeddings):
    pixels = open_pixels(train_tsv, 16)
    vae = create_autoencoder(AutoencoderTraining(channels=(8, 16), latent_channels=3), 16)
    inputs = latents_of(pixels, vae, 1.0) if in_latents else pixels
    settings = Diffusion(**UNET, objective="epsilon")
    features = open_features(train_tsv, embeddings.numpy())
    trainer = DiffusionTrainer(settings, inputs, features, device=CPU, world=World(), seed=0)
    assert trainer.scheduler.config.clip_sample is (not in_latents)
