"""Memory and time that jobs of a cluster ask for, from the sizes of the study. Imports no torch.

Times assume a slow GPU, since a job that reaches its limit is lost but for a training's last checkpoint.
"""

import math

from gensis.planning import memory
from gensis.planning.networks import backbone_cost, cost_of, unet_cost
from gensis.settings.bank import Bank
from gensis.settings.compute import FORWARD_AND_BACKWARD
from gensis.settings.pretraining import Pretraining
from gensis.settings.study import Study

GPU_PASSES, CPU_PASSES = 2000.0, 10.0
"""Forward passes of ViT-S/16 at 224 px in a second: of a GPU, of which an H100 did 11,000, and of 8 CPU cores."""
PAIRS = 1e8
"""Pairs of embeddings that an evaluation compares in a second on 4 slow CPU cores."""
MARGIN = 1.5
"""Requested memory by expected memory."""
START_MINUTES = 30
"""Of every job, to start and read images; times are multiples of it."""
MOST_MINUTES = 48 * 60
"""Longest time: trainings and banks that need more resume in their next job, and partitions have limits."""


def megabytes(expected_bytes: float, attempt: int = 1) -> int:
    """Memory to ask for, in MB: whole GB, with a margin. Retries ask for twice as much."""
    return 1000 * min(attempt, 2) * math.ceil(MARGIN * expected_bytes / 1e9)


def minutes(passes: float, gpus: int, attempt: int = 1) -> int:
    """Time to ask for, of passes as large as those of ViT-S/16 at 224 px, on GPUs or, with 0, on a CPU.

    Jobs that do not resume ask for twice as much in a retry: they may have reached their time limit.
    """
    speed = GPU_PASSES * gpus if gpus else CPU_PASSES
    return _minutes(passes / speed, attempt)


def _minutes(seconds: float, attempt: int = 1) -> int:
    return min(min(attempt, 2) * START_MINUTES * (1 + math.ceil(seconds / 60 / START_MINUTES)), MOST_MINUTES)


def encoder_minutes(study: Study, encoder: str, images: int, gpus: int) -> int:
    """Time of the training of an encoder on ``images`` images."""
    settings = study.training_settings(encoder)
    passes = settings.epochs * images * study.passes(encoder)
    return minutes(passes * _cost(settings), gpus)


def diffusion_minutes(study: Study, gpus: int) -> int:
    """Time of the training of the diffusion model."""
    settings = study.diffusion
    return minutes(settings.steps * settings.batch_size * FORWARD_AND_BACKWARD * denoiser_cost(study), gpus)


def autoencoder_minutes(study: Study, gpus: int) -> int:
    """Time of the training of the autoencoder."""
    settings = study.autoencoder_training
    cost = unet_cost(settings.channels, settings.layers_per_block, study.autoencoder_px)
    return minutes(settings.steps * settings.batch_size * FORWARD_AND_BACKWARD * cost, gpus)


def generation_minutes(study: Study, bank: Bank, images: int, gpus: int) -> int:
    """Time of a shard of a bank that ``images`` images are the sources of."""
    generated = images * bank.images_per_source / bank.shards
    return minutes(generated * bank.evaluations() * denoiser_cost(study), min(gpus, 1))


def embedding_minutes(study: Study, encoder: str, images: float, *, gpus: int, attempt: int) -> int:
    """Time to embed ``images`` images by an encoder; also for banks, which are embedded."""
    return minutes(images * cost_of(study, encoder), min(gpus, 1), attempt)


def evaluation_minutes(train: int, test: int, attempt: int) -> int:
    """Time to evaluate an encoder by comparing each of ``test`` images with each of ``train`` images."""
    return _minutes(60 * START_MINUTES + train * test / PAIRS, attempt)


def denoiser_cost(study: Study) -> float:
    """Forward pass of the denoiser for an image, in those of ViT-S/16 at 224 px."""
    settings = study.diffusion
    return unet_cost(settings.channels, settings.layers_per_block, memory.denoiser_side(study))


def _cost(settings: Pretraining) -> float:
    return backbone_cost(settings.backbone, settings.backbone_args, settings.image_px)
