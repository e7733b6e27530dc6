"""The stages of a study on random images, in the pipeline's own code: what calibration times and counts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import timm
import torch
from diffusers import AutoencoderKL
from torch import nn

from gensis.bank.generation import encode_batches, generate_plan, largest_batch
from gensis.bank.plan import plan_generative
from gensis.diffusion.autoencoder import create_autoencoder, latent_shape
from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.denoiser import create_denoiser, find_denoiser
from gensis.diffusion.inputs import Inputs, Latents, Pixels
from gensis.diffusion.loading import generate_function
from gensis.diffusion.objective import make_scheduler
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.diffusion.trainer import DiffusionTrainer
from gensis.images.codec import encode_png
from gensis.planning.images import ImageSet
from gensis.planning.networks import embedding_width
from gensis.planning.noise import NoiseFeatures, NoiseImages
from gensis.planning.work import Work
from gensis.settings.compute import FORWARD_AND_BACKWARD, passes
from gensis.settings.encoders import ExternalEncoder
from gensis.settings.pretraining import Pretraining
from gensis.settings.study import Study
from gensis.ssl.backbone import Encoder, preprocessing_of
from gensis.ssl.class_token import class_token_only
from gensis.ssl.embedding import in_parts
from gensis.ssl.external import architecture_of, open_external
from gensis.ssl.perceptual import PerceptualDistance
from gensis.ssl.pretrainer import Pretrainer
from gensis.ssl.untrained import untrained_encoder
from gensis.training.distributed import World

SEED = 0


@dataclass(frozen=True)
class Trial:
    """A repeatable piece of a stage."""

    run: Callable[[], object]
    units: float
    """Of the work that a call of ``run`` does."""
    network: nn.Module | None = None
    """The network whose weights the stage saves."""


@dataclass(frozen=True)
class Bench:
    """What all trials of a study need."""

    study: Study
    train: ImageSet
    """The images of pre-training, or without it of the first data set."""
    device: torch.device
    threads: int

    def trial(self, work: Work, batch_size: int) -> Trial:
        """A piece of a work, of ``batch_size`` images at a time."""
        return TRIALS[work.kind](self, work, batch_size)

    def images(self) -> NoiseImages:
        """As many images as the train split has, of the size in the stores."""
        return NoiseImages(max(self.train.train, 2), self.train.image_px, self.device)

    def autoencoder(self) -> AutoencoderKL | None:
        """An untrained autoencoder, if the diffusion model uses one; in place of an external one that of the config."""
        if self.study.autoencoder_mode == "none":
            return None
        torch.manual_seed(SEED)
        return create_autoencoder(self.study.autoencoder_training, self.study.diffusion_px).to(self.device).eval()

    def pipeline(self) -> GenSISPipeline:
        """An untrained diffusion model, laid out for generation as `load_pipeline` does."""
        settings, side, vae = self.study.diffusion, self.study.diffusion_px, self.autoencoder()
        shape = latent_shape(vae) if vae else (3, side, side)
        denoiser = create_denoiser(settings, shape, self.features().shape[1])
        scheduler = make_scheduler(settings.objective, in_pixels=vae is None)
        condition = find_denoiser(settings.denoiser).condition
        pipeline = GenSISPipeline(denoiser.eval(), scheduler, vae, condition).to(self.device)
        for network in filter(None, (denoiser, vae)):
            network.to(memory_format=torch.channels_last)
        return pipeline

    def features(self) -> NoiseFeatures:
        """Embeddings of these images."""
        settings = self.study.pretraining
        width = embedding_width(settings.backbone, settings.backbone_args)
        return NoiseFeatures(max(self.train.train, 2), width, self.device)


def _steps(trainer: Pretrainer | AutoencoderTrainer | DiffusionTrainer) -> Callable[[], object]:
    """Do the next step of a training, up to its loss, which waits for the device."""
    steps = iter(range(trainer.total_steps))

    def run() -> float:
        return float(trainer.step(next(steps))["loss"])

    return run


def _train_encoder(bench: Bench, work: Work, batch_size: int) -> Trial:
    settings = _without_bank(bench.study, work.subject).model_copy(
        update={"batch_size": batch_size, "balance_units": False, "epochs": 10**6}
    )
    trainer = Pretrainer(
        settings, bench.images(), device=bench.device, world=World(), seed=SEED, runtime=bench.study.runtime
    )
    return Trial(_steps(trainer), batch_size * passes(settings, disentangles=False), trainer.method.encoder)


def _without_bank(study: Study, encoder: str) -> Pretraining:
    """The training of an encoder, of an arm without its bank: passes of its further views take as long as others."""
    settings = study.retraining.get(encoder, study.pretraining)
    return Pretraining.model_construct(**{name: getattr(settings, name) for name in Pretraining.model_fields})


def _train_autoencoder(bench: Bench, work: Work, batch_size: int) -> Trial:
    study = bench.study
    settings = study.autoencoder_training.model_copy(update={"batch_size": batch_size, "steps": 10**6})
    distance = PerceptualDistance(untrained_encoder(study.pretraining, SEED)).to(bench.device)
    trainer = AutoencoderTrainer(
        settings,
        Pixels(bench.images(), study.autoencoder_px),
        device=bench.device,
        world=World(),
        seed=SEED,
        distance=distance if settings.perceptual_weight else None,
        compile=study.runtime.compile,
    )
    return Trial(_steps(trainer), batch_size * FORWARD_AND_BACKWARD, trainer.vae)


def _train_diffusion(bench: Bench, work: Work, batch_size: int) -> Trial:
    study = bench.study
    settings = study.diffusion.model_copy(update={"batch_size": batch_size, "steps": 10**6})
    inputs: Inputs = Pixels(bench.images(), study.diffusion_px)
    if vae := bench.autoencoder():
        inputs = Latents(inputs, vae, settings.precision)
    trainer = DiffusionTrainer(
        settings,
        inputs,
        bench.features(),
        device=bench.device,
        world=World(),
        seed=SEED,
        compile=study.runtime.compile,
    )
    return Trial(_steps(trainer), batch_size * FORWARD_AND_BACKWARD, trainer.denoiser)


def _generate_bank(bench: Bench, work: Work, batch_size: int) -> Trial:
    """Generate and encode a batch on each CPU thread, or one on a GPU."""
    study, bank, features, pipeline = bench.study, bench.study.banks[work.subject], bench.features(), bench.pipeline()
    at_once = bench.threads if bench.device.type == "cpu" else 1
    batch_size = min(batch_size, largest_batch(study.runtime.inference_batch_size, bench.device))
    plan = plan_generative(range(at_once * batch_size), 1, SEED)
    options = {"batch_size": batch_size, "device": bench.device, "threads": bench.threads}

    def run() -> list[bytes]:
        generate = generate_function(pipeline, bank, study.runtime.compile)
        batches = generate_plan(plan, features, noise_shape=pipeline.noise_shape, generate=generate, **options)
        return list(encode_batches(batches, encode_png, bench.threads))

    return Trial(run, len(plan) * bank.evaluations())


def _embed_images(bench: Bench, work: Work, batch_size: int) -> Trial:
    study, name = bench.study, work.subject
    if name in study.encoders:
        encoder = _external_encoder(study.encoders[name])
    else:
        encoder = untrained_encoder(_without_bank(study, name), SEED)
    encoder = encoder.to(bench.device, memory_format=torch.channels_last).eval()
    encoder.backbone = class_token_only(encoder.backbone)
    images = bench.images().batch(torch.arange(batch_size))
    return Trial(partial(in_parts, encoder, images, study.embedding), batch_size)


def _external_encoder(settings: ExternalEncoder) -> Encoder:
    """An external encoder; its network with random weights if they would have to be downloaded."""
    if settings.path:
        backbone, _, _ = open_external(settings.timm, Path(settings.path))
    else:
        backbone = timm.create_model(architecture_of(str(settings.timm)), num_classes=0)
    return Encoder(backbone, preprocessing_of(backbone))


TRIALS: dict[str, Callable[[Bench, Work, int], Trial]] = {
    "train encoder": _train_encoder,
    "train autoencoder": _train_autoencoder,
    "train diffusion": _train_diffusion,
    "generate bank": _generate_bank,
    "embed images": _embed_images,
}
"""Kinds of work in which a network runs -> the function that prepares a trial."""
