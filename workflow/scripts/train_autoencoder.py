"""Train an AutoencoderKL on the images of a train split, and save it in diffusers' format."""

import argparse
import logging
from pathlib import Path

from gensis import command, load_encoder
from gensis.artifacts.files import content_id
from gensis.artifacts.folders import write_provenance
from gensis.artifacts.provenance import external_weights_of, provenance
from gensis.diffusion import AUTOENCODER_RECIPE
from gensis.diffusion.autoencoder import FORMAT, scale_latents
from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.inputs import Pixels, checked_px
from gensis.diffusion.reconstruction import watch_reconstruction
from gensis.errors import UserError
from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.settings.runtime import Runtime
from gensis.ssl.perceptual import PerceptualDistance
from gensis.training.checkpoints import CheckpointFolder, fingerprint
from gensis.training.device import choose_device, device_name
from gensis.training.distributed import start_world
from gensis.training.loop import train, train_and_publish, write_history

log = logging.getLogger("train_autoencoder")


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
    key = fingerprint(arguments.config, inputs, arguments.seed, device, AUTOENCODER_RECIPE)
    folder = CheckpointFolder(arguments.checkpoints, "autoencoder", key, arguments.runtime.keep_checkpoints)

    def make(target: Path) -> None:
        images = open_images(read_index(arguments.train), device, arguments.runtime.image_cache_gb, arguments.threads)
        pixels = Pixels(images, image_px)
        distance = PerceptualDistance(load_encoder(arguments.encoder)).to(device) if arguments.encoder else None
        trainer = AutoencoderTrainer(settings, pixels, device, world, arguments.seed, distance)
        history = train(
            trainer,
            folder,
            world,
            device,
            arguments.seed,
            arguments.runtime.checkpoint_seconds,
            watch_reconstruction(trainer.vae, pixels, trainer.held_out.rows, world),
            arguments.events,
        )
        if world.is_first:
            write_history(target / "history.csv", history)
            scale_latents(trainer.vae, pixels)
            trainer.vae.save_pretrained(target)
            record = provenance(
                FORMAT,
                settings=arguments.config,
                inputs=inputs,
                seed=arguments.seed,
                device=device_name(device),
                started=arguments.started,
                external_weights=external,
            )
            weights = content_id(target / "diffusion_pytorch_model.safetensors")
            write_provenance(target, record | {"recipe": AUTOENCODER_RECIPE, "weights": weights})

    train_and_publish(folder, world, arguments.output, make)


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    parser.add_argument("--runtime", type=Runtime.model_validate_json, default=Runtime())
    parser.add_argument("--train", type=Path, required=True, help="train.tsv of the data set")
    parser.add_argument("--encoder", type=Path, help="folder of the study's encoder, for the perceptual term")
    parser.add_argument("--checkpoints", type=Path, required=True, help="root of the checkpoint folders")
    parser.add_argument("--events", type=Path, help="folder for TensorBoard")
    parser.add_argument("--output", type=Path, required=True, help="folder of the autoencoder")
    command.run(main, parser.parse_args())
