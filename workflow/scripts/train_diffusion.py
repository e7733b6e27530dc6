"""Train a diffusion model that is conditioned on image embeddings, and save it as a diffusers pipeline."""

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from gensis import command
from gensis.artifacts.files import content_id, write_saved
from gensis.artifacts.provenance import external_weights_of
from gensis.diffusion import RECIPE
from gensis.diffusion.autoencoder import is_our_own, load_autoencoder
from gensis.diffusion.held_out import HeldOut
from gensis.diffusion.inputs import Flipped, Inputs, Pixels, check_halvings, checked_px, latents_of
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.diffusion.reconstruction import pictured, reconstruction
from gensis.diffusion.trainer import DiffusionTrainer
from gensis.images.cache import ImageCache
from gensis.images.embeddings import external_weights
from gensis.images.features import Features, HeldFeatures, held_if_small
from gensis.images.index import Index, read_index
from gensis.images.reading import StreamedImages
from gensis.settings.diffusion import Diffusion
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.loop import Watch
from gensis.training.run import run_training, start, training_parser

WEIGHTS = "diffusion_pytorch_model.safetensors"


def main(arguments: argparse.Namespace) -> None:
    """Train from the start or from a checkpoint, or publish a finished training again."""
    world, device = start(arguments)
    settings = Diffusion.model_validate(arguments.config)
    index = read_index(arguments.train)
    features = Features(index, arguments.embeddings, settings.flips)
    vae = load_autoencoder(arguments.autoencoder, device) if arguments.autoencoder else None
    inputs = {"train": content_id(arguments.train), "embeddings": features.content}
    external = external_weights(arguments.embeddings)
    if vae:
        inputs["autoencoder"] = content_id(arguments.autoencoder / "config.json", arguments.autoencoder / WEIGHTS)
        if is_our_own(arguments.autoencoder):
            external |= external_weights_of(arguments.autoencoder)
        else:
            external[str(arguments.autoencoder)] = inputs["autoencoder"]

    def build(folder: CheckpointFolder) -> tuple[DiffusionTrainer, Watch]:
        cache = ImageCache(arguments.runtime.image_cache_gb, device, arguments.threads)
        embeddings = held_if_small(features, device, cache.left_gb)
        if isinstance(embeddings, HeldFeatures):
            cache.count(embeddings.size_gb)
        trainer = DiffusionTrainer(
            settings,
            open_inputs(arguments, settings, index=index, vae=vae, cache=cache),
            embeddings,
            device=device,
            world=world,
            seed=arguments.seed,
            compile=arguments.runtime.compile,
        )
        return trainer, lambda row: {}

    def write(trainer: DiffusionTrainer, target: Path) -> dict[str, Any]:
        if not world.is_first:
            return {}
        trained = GenSISPipeline(trainer.average, trainer.scheduler, vae, trainer.condition)
        for network in filter(None, (trainer.average, vae)):
            network.to(memory_format=torch.contiguous_format)  # as safetensors requires
        trained.save_pretrained(target)
        fields = {
            "embedding_width": features.shape[1],
            "image_px": settings.image_px,
            "weights": content_id(target / "denoiser" / WEIGHTS),
        }
        if vae:
            pixels = Pixels(StreamedImages(index, device, arguments.threads), checked_px(settings.image_px))
            picture = target / "reconstructions.png"
            fields["reconstruction"] = show_reconstructions(picture, vae, pixels, arguments.seed)
        return fields

    run_training(
        arguments,
        world,
        device,
        stage="diffusion",
        format="gensis-diffusion/1",
        recipe=RECIPE,
        inputs=inputs,
        external_weights=external,
        build=build,
        write=write,
    )


def show_reconstructions(path: Path, vae: AutoencoderKL, pixels: Pixels, seed: int) -> dict[str, float]:
    """Save a picture of the autoencoder's reconstructions, and measure them on held-out images.

    An autoencoder of this study was not trained on the held-out images.
    """
    rows = HeldOut(len(pixels), seed).rows
    picture = pictured(vae, pixels, rows if len(rows) else torch.arange(len(pixels)))
    write_saved(path, lambda stream: picture.save(stream, format="PNG"))
    return {"images": len(rows), **reconstruction(vae, pixels, rows)}


def open_inputs(
    arguments: argparse.Namespace, settings: Diffusion, *, index: Index, vae: AutoencoderKL | None, cache: ImageCache
) -> Inputs:
    """The denoiser's training inputs: pixels, or latents if there is an autoencoder."""
    levels = (settings.channels, vae.config.block_out_channels) if vae else (settings.channels,)
    check_halvings(checked_px(settings.image_px), sum(len(channels) - 1 for channels in levels))
    # Latents are several times smaller than images: they are held instead of them.
    images = StreamedImages(index, cache.device, arguments.threads) if vae else cache.open(index)
    pixels = Pixels(Flipped(images) if settings.flips else images, checked_px(settings.image_px))
    return latents_of(pixels, vae, cache.left_gb, settings.precision) if vae else pixels


if __name__ == "__main__":
    parser = training_parser(__doc__)
    parser.add_argument("--embeddings", type=Path, nargs="+", required=True, help="embeddings of its images, all parts")
    parser.add_argument("--autoencoder", type=Path, help="folder of an AutoencoderKL, for latent diffusion")
    command.run(main, parser.parse_args())
