"""What the time of a unit of work depends on, in one line: rates that were measured for the same line are exact."""

from typing import Any

from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.settings.bank import Bank
from gensis.settings.datasets import NaturalDataset, SlidesDataset
from gensis.settings.diffusion import Diffusion
from gensis.settings.pretraining import Pretraining
from gensis.settings.study import Study


def _network(settings: Pretraining) -> str:
    arguments = ", ".join(f"{key} {_words(value)}" for key, value in sorted(settings.backbone_args.items()))
    return f"{settings.backbone}{f' ({arguments})' if arguments else ''}, {settings.image_px} px"


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def encoder_case(settings: Pretraining) -> str:
    """The training of an encoder. Views of a bank are counted in its passes, which take as long as those of others."""
    views = settings.views
    local = f"{views.local_crops} local views of {views.local_px} px" if views.local_crops else "no local views"
    return f"{settings.method}, {_network(settings)}, {local}, batch {settings.batch_size}, {settings.precision}"


def embedding_case(settings: Pretraining, precision: str) -> str:
    """The embedding of images by an encoder that these settings train."""
    return f"{_network(settings)}, {precision}"


def _unet(settings: Diffusion | AutoencoderTraining) -> str:
    return f"channels {_words(settings.channels)}, {settings.layers_per_block} layers"


def _space(study: Study) -> str:
    if study.autoencoder_mode == "none":
        return f"{study.diffusion_px} px"
    own = study.autoencoder_mode == "train"
    return (
        f"latents of {study.diffusion_px} px by {_unet(study.autoencoder_training) if own else 'an external network'}"
    )


def denoiser_case(study: Study) -> str:
    """The denoiser and its inputs."""
    settings = study.diffusion
    attention = f", attention in {settings.attention_levels} levels" if settings.attention_levels else ""
    return f"{settings.denoiser}, {_unet(settings)}{attention}, {_space(study)}"


def diffusion_case(study: Study) -> str:
    """The training of the diffusion model."""
    return f"{denoiser_case(study)}, batch {study.diffusion.batch_size}, {study.diffusion.precision}"


def autoencoder_case(study: Study) -> str:
    """The training of the autoencoder."""
    settings = study.autoencoder_training
    perceptual = ", perceptual" if settings.perceptual_weight else ""
    return (
        f"{_unet(settings)}, {study.autoencoder_px} px, batch {settings.batch_size}, {settings.precision}{perceptual}"
    )


def generation_case(study: Study, bank: Bank) -> str:
    """The generation of a bank."""
    return f"{denoiser_case(study)}, batch {study.runtime.inference_batch_size}, {bank.precision}"


def tiling_case(dataset: SlidesDataset) -> str:
    """The tiling of slides."""
    return f"{dataset.tile_px} px at {dataset.mpp:g} um/px, {dataset.encoding}"


def import_case(dataset: NaturalDataset) -> str:
    """The import of natural images."""
    return f"resized to {dataset.image_px} px" if dataset.image_px else "as they are"


def evaluation_case(task: str, width: int) -> str:
    """An evaluation task on embeddings."""
    return f"{task}, {width} values"
