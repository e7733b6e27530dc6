"""Train an AutoencoderKL on the images of a train split, and save it in diffusers' format."""

import argparse
from pathlib import Path
from typing import Any

from gensis import command, load_encoder
from gensis.artifacts.files import content_id
from gensis.artifacts.provenance import external_weights_of
from gensis.diffusion import AUTOENCODER_RECIPE
from gensis.diffusion.autoencoder import FORMAT, scale_latents
from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.inputs import Pixels, checked_px
from gensis.diffusion.reconstruction import watch_reconstruction
from gensis.errors import UserError
from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.ssl.perceptual import PerceptualDistance
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.device import choose_device
from gensis.training.distributed import start_world
from gensis.training.loop import Watch
from gensis.training.run import run_training, training_parser


def main(arguments: argparse.Namespace) -> None:
    """Train from the start or from a checkpoint, or publish a finished training again."""
    world, device = start_world(choose_device(arguments.gpus, arguments.threads))
    settings = AutoencoderTraining.model_validate(arguments.config)
    image_px = checked_px(settings.image_px)
    if bool(settings.perceptual_weight) != bool(arguments.encoder):
        raise UserError(
            f"perceptual_weight is {settings.perceptual_weight} and --encoder is {arguments.encoder}: "
            "the perceptual term needs both, so give both or neither"
        )
    inputs, external = {"train": content_id(arguments.train)}, {}
    if arguments.encoder:
        inputs["encoder"] = content_id(arguments.encoder / "model.safetensors")
        external = external_weights_of(arguments.encoder)

    def build(folder: CheckpointFolder) -> tuple[AutoencoderTrainer, Watch]:
        images = open_images(read_index(arguments.train), device, arguments.runtime.image_cache_gb, arguments.threads)
        pixels = Pixels(images, image_px)
        distance = PerceptualDistance(load_encoder(arguments.encoder)).to(device) if arguments.encoder else None
        trainer = AutoencoderTrainer(
            settings, pixels, device=device, world=world, seed=arguments.seed, distance=distance
        )
        return trainer, watch_reconstruction(trainer.vae, pixels, trainer.held_out.rows, world)

    def write(trainer: AutoencoderTrainer, target: Path) -> dict[str, Any]:
        if not world.is_first:
            return {}
        scale_latents(trainer.vae, trainer.pixels)
        trainer.vae.save_pretrained(target)
        return {"weights": content_id(target / "diffusion_pytorch_model.safetensors")}

    run_training(
        arguments,
        world,
        device,
        stage="autoencoder",
        format=FORMAT,
        recipe=AUTOENCODER_RECIPE,
        inputs=inputs,
        external_weights=external,
        build=build,
        write=write,
    )


if __name__ == "__main__":
    parser = training_parser(__doc__)
    parser.add_argument("--encoder", type=Path, help="folder of the study's encoder, for the perceptual term")
    command.run(main, parser.parse_args())
