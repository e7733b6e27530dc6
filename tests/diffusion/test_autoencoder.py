import pytest
import torch
from diffusers import AutoencoderKL
from tests.diffusion.tiny import CPU, open_pixels, write_dataset

from gensis.artifacts.files import write_json
from gensis.diffusion.autoencoder import create_autoencoder, is_our_own, load_autoencoder, scale_latents
from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.inputs import HeldLatents, Latents, check_halvings, checked_px, encode, latents_of
from gensis.errors import UserError
from gensis.settings.autoencoder import AutoencoderTraining
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import World
from gensis.training.loop import train

TINY = {"channels": (8, 16), "latent_channels": 3, "batch_size": 16, "learning_rate": 3e-3, "warmup_steps": 5}


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    return open_pixels(write_dataset(tmp_path_factory.mktemp("images"), 40, 16), 16)


@pytest.fixture(scope="module")
def trained(pixels, tmp_path_factory):
    trainer = AutoencoderTrainer(AutoencoderTraining(**TINY, steps=120), pixels, CPU, World(), 0)
    with CheckpointFolder(tmp_path_factory.mktemp("checkpoints"), "autoencoder", "f") as folder:
        history = train(trainer, folder, World(), CPU, 0, 1000)
    scale_latents(trainer.vae, pixels)
    return trainer.vae, history


def test_training_reduces_the_reconstruction_error(trained):
    history = trained[1]
    assert history[-1]["squared_error"] < 0.3 * history[0]["squared_error"]
    assert history[-1]["absolute_error"] < 0.6 * history[0]["absolute_error"]


def test_scaled_latents_have_mean_zero_and_unit_variance(trained, pixels):
    latents = encode(trained[0], pixels.batch(torch.arange(40)))
    assert latents.shape == (40, 3, 8, 8)
    assert latents.mean().abs() < 1e-4
    assert (latents.std() - 1).abs() < 1e-3


def test_saved_folder_loads_by_diffusers_and_by_us_with_its_scale(trained, pixels, tmp_path):
    vae, _ = trained
    vae.save_pretrained(tmp_path)
    loaded = AutoencoderKL.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert loaded.config.scaling_factor == vae.config.scaling_factor
    ours = load_autoencoder(tmp_path, CPU)
    assert not any(weight.requires_grad for weight in ours.parameters())
    batch = pixels.batch(torch.arange(4))
    assert encode(ours, batch).equal(encode(loaded.eval(), batch))


def test_held_latents_equal_those_computed_as_needed(trained, pixels):
    vae, _ = trained
    held, computed = latents_of(pixels, vae, 1.0), latents_of(pixels, vae, 1e-9)
    assert isinstance(held, HeldLatents)
    assert isinstance(computed, Latents)
    assert held.shape == computed.shape == (3, 8, 8)
    rows = torch.tensor([3, 39, 0])
    torch.testing.assert_close(held.batch(rows), computed.batch(rows), atol=1e-5, rtol=1e-5)


def test_pixels_are_resized_and_span_minus_one_to_one(pixels):
    batch = type(pixels)(pixels.images, 8).batch(torch.tensor([1, 2]))
    assert batch.shape == (2, 3, 8, 8)
    original = pixels.images.batch(torch.tensor([1, 2])).float()
    torch.testing.assert_close(pixels.batch(torch.tensor([1, 2])), original / 255 * 2 - 1)
    torch.testing.assert_close(batch.mean((2, 3)), (original / 255 * 2 - 1).mean((2, 3)), atol=0.02, rtol=0)


def test_each_level_after_the_first_halves_the_side():
    vae = create_autoencoder(AutoencoderTraining(channels=(8, 8, 8), latent_channels=2), 16)
    assert vae.encode(torch.zeros(1, 3, 16, 16)).latent_dist.mode().shape == (1, 2, 4, 4)


def test_what_does_not_fit_is_refused_in_one_line(pixels, tmp_path):
    with pytest.raises(UserError, match="not the folder of a diffusers AutoencoderKL") as refusal:
        load_autoencoder(tmp_path, CPU)
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match="cannot be halved 5 times"):
        check_halvings(pixels, 5)
    with pytest.raises(UserError, match="give a number"):
        checked_px("auto")


def test_only_a_folder_with_our_provenance_is_our_own(tmp_path):
    assert not is_our_own(tmp_path)
    write_json(tmp_path / "provenance.json", {"format": "gensis-autoencoder/1"})
    assert is_our_own(tmp_path)
