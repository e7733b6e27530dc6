import csv
import json

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from tests.diffusion.tiny import CPU, UNET, open_pixels, run_script, write_dataset, write_features

from gensis.artifacts.files import content_id, read_json, write_json
from gensis.artifacts.folders import write_provenance
from gensis.diffusion.autoencoder import create_autoencoder, is_our_own, load_autoencoder, scale_latents
from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.inputs import HeldLatents, Latents, check_halvings, checked_px, encode, latents_of
from gensis.diffusion.reconstruction import reconstructed, watch_reconstruction
from gensis.errors import UserError
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.ssl.backbone import Encoder, create_backbone, load_encoder, save_encoder
from gensis.ssl.perceptual import PerceptualDistance
from gensis.ssl.preprocessing import Preprocessing
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import World
from gensis.training.loop import train

TINY = {"channels": (8, 16), "latent_channels": 3, "batch_size": 16, "learning_rate": 3e-3, "warmup_steps": 5}
VIT = {"patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 2}


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    return open_pixels(write_dataset(tmp_path_factory.mktemp("images"), 40, 16), 16)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Folder of an encoder that was initialised with external weights."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    backbone, arguments = create_backbone("vit_tiny_patch16_224", 16, VIT)
    save_encoder(
        backbone,
        folder,
        name="vit_tiny_patch16_224",
        arguments=arguments,
        preprocessing=Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3),
    )
    write_json(folder / "provenance.json", {"external_weights": {"theirs": "0123"}})
    return folder


@pytest.fixture(scope="module")
def trained(pixels, tmp_path_factory):
    trainer = AutoencoderTrainer(
        AutoencoderTraining(**TINY, steps=120, perceptual_weight=0), pixels, device=CPU, world=World(), seed=0
    )
    with CheckpointFolder(tmp_path_factory.mktemp("checkpoints"), "autoencoder", "f") as folder:
        history = train(trainer, folder, World(), CPU, seed=0, checkpoint_seconds=1000)
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


def test_an_autoencoder_with_weights_that_are_not_finite_is_refused_by_name(tmp_path):
    vae = create_autoencoder(AutoencoderTraining(**TINY, steps=1), 16)
    vae.decoder.conv_out.bias.data[1] = float("nan")
    vae.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path}: the weights decoder.conv_out.bias are not finite"):
        load_autoencoder(tmp_path, CPU)


def test_a_damaged_autoencoder_of_our_own_is_refused_by_its_file(tmp_path):
    create_autoencoder(AutoencoderTraining(**TINY, steps=1), 16).save_pretrained(tmp_path)
    write_provenance(tmp_path, {"format": "gensis-autoencoder/1"})
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=f"{tmp_path / 'config.json'} is damaged"):
        load_autoencoder(tmp_path, CPU)


def test_saved_autoencoder_loads_through_diffusers_with_its_latent_scale(trained, pixels, tmp_path):
    vae, _ = trained
    vae.save_pretrained(tmp_path)
    loaded = AutoencoderKL.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert loaded.config.scaling_factor == vae.config.scaling_factor
    ours = load_autoencoder(tmp_path, CPU)
    assert not any(weight.requires_grad for weight in ours.parameters())
    batch = pixels.batch(torch.arange(4))
    assert encode(ours, batch).equal(encode(loaded.eval(), batch))


def test_a_large_batch_is_encoded_few_images_at_a_time(trained, pixels):
    vae, _ = trained
    batch, passes = pixels.batch(torch.arange(40)).repeat(4, 1, 1, 1), []
    with vae.encoder.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0]))):
        latents = encode(vae, batch)
    assert passes == [64, 64, 32]
    torch.testing.assert_close(latents[:40], encode(vae, batch[:40]), atol=1e-5, rtol=1e-5)


def test_cached_latents_equal_latents_computed_on_demand(trained, pixels):
    vae, _ = trained
    held, computed = latents_of(pixels, vae, 1.0), latents_of(pixels, vae, 1e-9)
    assert isinstance(held, HeldLatents)
    assert isinstance(computed, Latents)
    assert held.shape == computed.shape == (3, 8, 8)
    rows = torch.tensor([3, 39, 0])
    torch.testing.assert_close(held.batch(rows), computed.batch(rows), atol=1e-5, rtol=1e-5)


def test_latents_in_bfloat16_are_float32_values_that_differ_by_rounding_alone(trained, pixels):
    vae, rows = trained[0], torch.arange(40)
    types = set()
    hook = vae.encoder.conv_in.register_forward_hook(lambda layer, inputs, output: types.add(output.dtype))
    rounded, exact = (latents_of(pixels, vae, 1.0, precision).batch(rows) for precision in ("bfloat16", "float32"))
    hook.remove()
    assert types == {torch.bfloat16, torch.float32}
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05  # of unit variance
    assert not torch.equal(rounded, rounded.bfloat16().float()), "shifted and scaled in float32"


def test_pixels_are_resized_and_in_minus_one_to_one(pixels):
    batch = type(pixels)(pixels.images, 8).batch(torch.tensor([1, 2]))
    assert batch.shape == (2, 3, 8, 8)
    original = pixels.images.batch(torch.tensor([1, 2])).float()
    torch.testing.assert_close(pixels.batch(torch.tensor([1, 2])), original / 255 * 2 - 1)
    torch.testing.assert_close(batch.mean((2, 3)), (original / 255 * 2 - 1).mean((2, 3)), atol=0.02, rtol=0)


def test_latents_are_scaled_for_a_data_set_of_any_size(trained, pixels):
    class Many:
        """Twenty million images, of which nothing is read that does not exist."""

        def __len__(self):
            return 20_000_000

        def batch(self, rows):
            assert rows.max() < len(self)
            return pixels.batch(rows % len(pixels))

    scale_latents(trained[0], Many(), 1000)
    scale_latents(trained[0], pixels)


def test_each_level_after_the_first_halves_the_side():
    vae = create_autoencoder(AutoencoderTraining(channels=(8, 8, 8), latent_channels=2), 16)
    assert vae.encode(torch.zeros(1, 3, 16, 16)).latent_dist.mode().shape == (1, 2, 4, 4)


def test_settings_and_folders_that_do_not_fit_are_refused_in_one_line(pixels, tmp_path):
    with pytest.raises(UserError, match="not the folder of a diffusers AutoencoderKL") as refusal:
        load_autoencoder(tmp_path, CPU)
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match="cannot be halved 5 times"):
        check_halvings(16, 5)
    with pytest.raises(UserError, match="give a number"):
        checked_px("auto")


def test_only_a_folder_with_our_provenance_is_our_own(tmp_path):
    assert not is_our_own(tmp_path)
    write_json(tmp_path / "provenance.json", {"format": "gensis-autoencoder/1"})
    assert is_our_own(tmp_path)


def test_every_image_not_held_out_is_trained_on_once_per_epoch(pixels):
    settings = AutoencoderTraining(**TINY | {"batch_size": 19}, perceptual_weight=0)
    trainer = AutoencoderTrainer(settings, pixels, device=CPU, world=World(), seed=3)
    trained_on = torch.cat([trainer._rows(step) for step in range(2)]).tolist()
    assert len(trainer.held_out.rows) == 2
    assert sorted(trained_on + trainer.held_out.rows.tolist()) == list(range(40))


def test_a_step_in_bfloat16_differs_from_float32_by_rounding_alone(pixels):
    rows = {}
    for precision in ("float32", "bfloat16"):
        settings = AutoencoderTraining(**TINY, perceptual_weight=0, precision=precision)
        trainer = AutoencoderTrainer(settings, pixels, device=CPU, world=World(), seed=0)
        torch.manual_seed(0)
        rows[precision] = trainer.step(0)
        assert {weight.dtype for weight in trainer.vae.parameters()} == {torch.float32}
    assert all(value.dtype == torch.float32 for value in rows["bfloat16"].values())
    assert rows["bfloat16"]["loss"] != rows["float32"]["loss"]
    torch.testing.assert_close(rows["bfloat16"], rows["float32"], atol=1e-3, rtol=3e-2)


def test_the_perceptual_term_lowers_the_perceptual_distance(pixels):
    torch.manual_seed(1)
    backbone, _ = create_backbone("vit_tiny_patch16_224", 16, VIT)
    distance = PerceptualDistance(Encoder(backbone, Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3)))
    ends = {}
    for weight in (0.0, 1.0):
        settings = AutoencoderTraining(**TINY, steps=60, perceptual_weight=weight)
        trainer = AutoencoderTrainer(settings, pixels, device=CPU, world=World(), seed=0, distance=distance)
        for step in range(60):
            torch.manual_seed(step)
            figures = trainer.step(step)
        originals = pixels.batch(torch.arange(40))
        with torch.no_grad():
            ends[weight] = distance((reconstructed(trainer.vae, originals) + 1) * 127.5, (originals + 1) * 127.5)
        parts = figures["absolute_error"] + figures["squared_error"] + settings.kl_weight * figures["kl"]
        torch.testing.assert_close(figures["loss"], parts + weight * figures.get("perceptual", 0))
    assert ends[1.0] < 0.8 * ends[0.0]


def test_a_resumed_training_ends_with_the_same_weights_and_history(pixels, encoder, tmp_path):
    class Killed(Exception):
        pass

    class KilledTrainer(AutoencoderTrainer):
        def step(self, step):
            if step == 4:
                raise Killed
            return super().step(step)

    def run(kind, name):
        settings = AutoencoderTraining(**TINY, steps=7, perceptual_weight=0.5)
        distance = PerceptualDistance(load_encoder(encoder))
        trainer = kind(settings, pixels, device=CPU, world=World(), seed=0, distance=distance)
        watch = watch_reconstruction(trainer.vae, pixels, trainer.held_out.rows, World())
        with CheckpointFolder(tmp_path, "autoencoder", name) as folder:
            history = train(trainer, folder, World(), CPU, seed=0, checkpoint_seconds=0, watch=watch)
        return [{key: row[key] for key in row if key != "images_per_second"} for row in history], trainer.vae

    straight, vae = run(AutoencoderTrainer, "straight")
    with pytest.raises(Killed):
        run(KilledTrainer, "resumed")
    resumed, again = run(AutoencoderTrainer, "resumed")
    assert straight == resumed
    assert {"psnr", "ssim", "perceptual"} <= set(straight[-1])
    assert all(weight.equal(again.state_dict()[name]) for name, weight in vae.state_dict().items())


def test_script_uses_and_records_the_perceptual_encoder(encoder, tmp_path):
    train_tsv = write_dataset(tmp_path / "images", 40, 16)
    config = json.dumps(TINY | {"image_px": 16, "steps": 3})
    where = ("--train", train_tsv, "--checkpoints", tmp_path / "checkpoints", "--output", tmp_path / "vae")
    assert "give both or neither" in run_script("train_autoencoder", "--config", config, *where, status=1)
    run_script("train_autoencoder", "--config", config, *where, "--encoder", encoder)
    record = read_json(tmp_path / "vae/provenance.json")
    assert record["inputs"]["encoder"] == content_id(encoder / "model.safetensors")
    assert record["external_weights"] == {"theirs": "0123"}
    with open(tmp_path / "vae/history.csv") as stream:
        assert {"perceptual", "psnr", "ssim"} <= set(next(csv.reader(stream)))


@pytest.mark.parametrize("ours", [True, False])
def test_training_saves_reconstructions_of_any_autoencoder(trained, tmp_path, ours):
    train_tsv = write_dataset(tmp_path / "images", 40, 16)
    trained[0].save_pretrained(tmp_path / "vae")
    if ours:
        record = {"format": "gensis-autoencoder/1", "external_weights": {"theirs": "0123"}}
        write_json(tmp_path / "vae/provenance.json", record)
    features = write_features(tmp_path / "part-0000.h5", train_tsv, 12)
    config = json.dumps(UNET | {"image_px": 16, "steps": 2, "batch_size": 8})
    where = ("--train", train_tsv, "--embeddings", features, "--autoencoder", tmp_path / "vae")
    out = ("--checkpoints", tmp_path / "checkpoints", "--output", tmp_path / "diffusion")
    run_script("train_diffusion", "--config", config, *where, *out)
    record = read_json(tmp_path / "diffusion/provenance.json")
    assert set(record["external_weights"]) == {"theirs" if ours else str(tmp_path / "vae")}
    assert record["reconstruction"].keys() == {"images", "psnr", "ssim"}
    assert record["reconstruction"]["images"] == 2
    picture = np.asarray(Image.open(tmp_path / "diffusion/reconstructions.png")).astype(float)
    assert picture.shape == (32, 32, 3)
    assert 0 < np.abs(picture[:16] - picture[16:]).mean() < 40


def test_latents_are_sampled_and_their_divergence_is_a_mean_over_the_values_of_an_image(pixels):
    settings = AutoencoderTraining(**TINY, perceptual_weight=0)
    trainer = AutoencoderTrainer(settings, pixels, device=CPU, world=World(), seed=0)
    images, noise = pixels.batch(torch.arange(4)), trainer.noise(4)
    with torch.no_grad():
        of = trainer.vae.encode(images).latent_dist
        seen = trainer.vae.decode(of.mean + of.logvar.exp().sqrt() * noise).sample
        found = trainer._losses(images, noise)
    torch.testing.assert_close(found["squared_error"], (seen - images).square().mean())
    kl = 0.5 * (of.mean**2 + of.logvar.exp() - 1 - of.logvar).sum() / images.numel()
    torch.testing.assert_close(found["kl"], kl)
