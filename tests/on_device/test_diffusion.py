"""Training and sampling of the diffusion model, and training of the autoencoder, on `cuda`."""

import pytest
import torch
from tests.diffusion.tiny import UNET, write_dataset, write_features
from tests.on_device.fake_card import CUDA
from tests.ssl.conftest import TINY

from gensis.bank.generation import generate_plan
from gensis.bank.plan import plan_generative, plan_interpolated
from gensis.diffusion.autoencoder import create_autoencoder
from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.denoiser import create_denoiser, find_denoiser
from gensis.diffusion.inputs import Flipped, Pixels, latents_of
from gensis.diffusion.loading import generate_function
from gensis.diffusion.objective import make_scheduler
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.diffusion.reconstruction import reconstruction
from gensis.diffusion.trainer import DiffusionTrainer
from gensis.images.features import Features
from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.settings.bank import Bank
from gensis.settings.diffusion import Diffusion
from gensis.ssl.backbone import Encoder, create_backbone
from gensis.ssl.perceptual import PerceptualDistance
from gensis.ssl.preprocessing import Preprocessing
from gensis.training.distributed import World

IMAGES, WIDTH, PX = 12, 6, 16
VAE = {"channels": (8, 16), "latent_channels": 3, "batch_size": 4}


@pytest.fixture
def images(card, tmp_path):
    return open_images(read_index(write_dataset(tmp_path, IMAGES, PX)), CUDA, 1.0, 1)


def network(module):
    return module.to(CUDA).eval().requires_grad_(False)


def autoencoder():
    return network(create_autoencoder(AutoencoderTraining(**VAE), PX))


TRAININGS = {
    "flow": ({"precision": "bfloat16", "condition_noise": 0.1}, 1.0),
    "epsilon": ({"objective": "epsilon"}, 1.0),
    "cross-attention": ({"denoiser": "cross_attention", "attention_levels": 1, "precision": "bfloat16"}, 1.0),
    "latents": ({"channels": [8]}, 1.0),
    "latents-streamed": ({"channels": [8], "flips": True, "precision": "bfloat16"}, 0.0),
}


@pytest.mark.parametrize("case", TRAININGS)
def test_no_step_of_the_diffusion_model_waits(card, images, tmp_path, case):
    own, cache_gb = TRAININGS[case]
    settings = Diffusion(**(UNET | {"batch_size": 4} | own))
    pixels = Pixels(Flipped(images) if settings.flips else images, PX)
    inputs = latents_of(pixels, autoencoder(), cache_gb, settings.precision) if "latents" in case else pixels
    features = write_features(tmp_path / "part.h5", tmp_path / "train.tsv", WIDTH, with_mirrored=settings.flips)
    features = Features(images.index, [features], settings.flips)
    trainer = DiffusionTrainer(settings, inputs, features, device=CUDA, world=World(), seed=0)
    types = set()
    trainer.denoiser.register_forward_hook(lambda network, inputs, output: types.add(output.sample.dtype))
    card.waits()
    assert trainer.step(0)["loss"].device.type == "cuda"
    assert types == {getattr(torch, settings.precision)}
    of_schedule = {"diffusion.objective.add_noise: copy to cuda": 1}  # in the first step only
    assert card.waits() == (of_schedule if settings.objective == "epsilon" else {})


def test_no_step_of_the_autoencoder_waits(card, images):
    backbone, _ = create_backbone("vit_tiny_patch16_224", PX, TINY["backbone_args"])
    distance = PerceptualDistance(Encoder(backbone, Preprocessing((PX, PX), (0.5,) * 3, (0.25,) * 3))).to(CUDA)
    settings, pixels = AutoencoderTraining(**VAE), Pixels(images, PX)
    trainer = AutoencoderTrainer(settings, pixels, device=CUDA, world=World(), seed=0, distance=distance)
    card.waits()
    trainer.step(0)
    assert card.waits() == {}


def test_autoencoders_are_measured_with_one_wait_a_block(card, images):
    pixels, vae = Pixels(images, PX), autoencoder()
    card.waits()
    assert reconstruction(vae, pixels, torch.arange(8)).keys() == {"psnr", "ssim"}
    of_torchmetrics = {"diffusion.reconstruction.psnr: copy to cuda": 2}
    assert card.waits() == of_torchmetrics | {"diffusion.reconstruction.reconstruction: copy to cpu": 1}


SAMPLINGS = {
    "guided-in-latents": ("flow", "interpolated", {"guidance": 2.0, "precision": "bfloat16"}),
    "not-guided": ("flow", "generative", {"guidance": 1.0, "precision": "bfloat16"}),
    "interval": ("epsilon", "interpolated", {"guidance_interval": (0.2, 0.8)}),
    "heun": ("flow", "generative", {"sampler": "heun"}),
    "dpm++": ("flow", "generative", {"sampler": "dpm++"}),
    "dpm++-epsilon": ("epsilon", "generative", {"sampler": "dpm++"}),
}


@pytest.mark.parametrize("case", SAMPLINGS)
def test_generation_waits_only_for_finished_batches(card, case):
    objective, kind, own = SAMPLINGS[case]
    settings, in_latents = Diffusion(**UNET), case == "guided-in-latents"
    denoiser = network(create_denoiser(settings, (3, 8, 8), WIDTH))
    vae = autoencoder() if in_latents else None
    condition = find_denoiser(settings.denoiser).condition
    pipeline = GenSISPipeline(denoiser, make_scheduler(objective, not in_latents), vae, condition)
    types = set()
    denoiser.register_forward_hook(lambda network, inputs, output: types.add(output.sample.dtype))
    bank = Bank(sampling_steps=4, **own)
    plan = plan_generative(range(4), 2, 0) if kind == "generative" else plan_interpolated(range(4), 4, (0.3, 0.6), 0)
    options = {"noise_shape": pipeline.noise_shape, "batch_size": 4, "device": CUDA}
    card.waits()
    batches = list(generate_plan(plan, torch.ones(4, WIDTH), generate=generate_function(pipeline, bank), **options))
    assert [batch.shape for batch in batches] == [(4, pipeline.image_px, pipeline.image_px, 3)] * 2
    assert types == {getattr(torch, bank.precision)}
    assert card.waits() == {"bank.generation._Copy.array: event": 2}
