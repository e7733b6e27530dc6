"""Pre-train an encoder, or with --bank retrain it with a bank, and publish it in timm's hub layout."""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gensis import command
from gensis.artifacts.files import content_id
from gensis.artifacts.provenance import external_weights_of
from gensis.errors import UserError
from gensis.images.cache import ImageCache
from gensis.images.embeddings import external_weights
from gensis.images.index import Index, read_index
from gensis.images.snapshots import add_snapshot, write_snapshots
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.ssl import RECIPE
from gensis.ssl.backbone import FORMAT, save_encoder
from gensis.ssl.bank_images import bank_contents, open_parts
from gensis.ssl.building import build
from gensis.ssl.monitor import Monitor
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import World
from gensis.training.run import run_training, start, training_parser

log = logging.getLogger("pretrain_encoder")


def main(arguments: argparse.Namespace) -> None:
    """Train or resume, and publish; or publish an encoder that is already trained."""
    world, device = start(arguments)
    settings = (Retraining if "bank" in arguments.config else Pretraining).model_validate(arguments.config)
    if isinstance(settings, Retraining):
        check_bank(settings, arguments.bank)
    index = read_index(arguments.train)
    if world.is_first:
        refuse_impossible_arms(arguments.arms, len(index))
    inputs, external = inputs_of(arguments, settings)
    monitored: dict[str, Any] = {}

    def begin(folder: CheckpointFolder) -> tuple[Pretrainer, Monitor]:
        pretrainer = create(arguments, settings, index=index, device=device, world=world)
        snapshots = folder.path / "snapshots"

        def keep(step: int, embeddings: torch.Tensor) -> None:
            if world.is_first:
                add_snapshot(snapshots, step, embeddings.cpu().numpy())

        monitor = Monitor(pretrainer, arguments.seed, arguments.runtime.monitor_epochs, keep)
        monitored.update(rows=monitor.rows.numpy(), folder=snapshots)
        return pretrainer, monitor

    def write(pretrainer: Pretrainer, target: Path) -> dict[str, Any]:
        encoder = pretrainer.encoder()
        if not world.is_first:
            return {}
        write_snapshots(target / "embedding_snapshots.h5", **monitored)
        save_encoder(
            encoder,
            target,
            name=settings.backbone,
            arguments=pretrainer.backbone_args,
            preprocessing=pretrainer.preprocessing,
        )
        resolved = pretrainer.resolved
        parts = {"gradient_accumulation": pretrainer.accumulation.parts}
        return {
            "resolved": resolved.values | parts | {"reasons": resolved.reasons},
            "uniform_loss": pretrainer.method.uniform_loss(),
            "weights": content_id(target / "model.safetensors"),
        }

    run_training(
        arguments,
        world,
        device,
        stage="encoder",
        format=FORMAT,
        recipe=RECIPE,
        inputs=inputs,
        external_weights=external,
        build=begin,
        write=write,
    )


def inputs_of(arguments: argparse.Namespace, settings: Pretraining) -> tuple[dict[str, str], dict[str, str]]:
    """Content ids of the inputs by their names, and the external weights that they come from."""
    inputs, external = {"train": content_id(arguments.train)}, {}
    if arguments.bank:
        inputs |= bank_contents(arguments.bank, arguments.filtered)
        external |= external_weights(sorted(arguments.bank.glob("*-*.h5")))
    if arguments.init:
        inputs["init"] = content_id(arguments.init / "model.safetensors")
        if settings.continued:  # its images are normalised as those of the encoder that it continues
            inputs["init_config"] = content_id(arguments.init / "config.json")
        external |= external_weights_of(arguments.init)
    return inputs, external


def check_bank(settings: Retraining, bank: Path | None) -> None:
    """Refuse settings with a bank if --bank is missing, and the reverse; log the reason for the epochs."""
    if (settings.bank is None) != (bank is None):
        raise UserError(f"--config has bank = {settings.bank} and --bank is {bank}: give both or neither")
    if settings.match_compute:
        log.info("epochs: %d, to match the compute of %s", settings.epochs, settings.match_compute)


def refuse_impossible_arms(arms: Mapping[str, dict[str, Any]], images: int) -> None:
    """Build the networks of arms, so that a mistake in one shows before the first training, not after weeks."""
    for name, values in arms.items():
        try:
            build(Pretraining.model_validate(values), images, world=World(), device=torch.device("cpu"))
        except UserError as error:
            raise UserError(f"retraining.{name}: {error}") from error


def create(
    arguments: argparse.Namespace, settings: Pretraining, *, index: Index, device: torch.device, world: World
) -> Pretrainer:
    """The training in its initial state."""
    cache = ImageCache(arguments.runtime.image_cache_gb, device, arguments.threads)
    images = cache.open(index)
    generative = interpolated = None
    if arguments.bank:
        generative, interpolated = open_parts(
            settings,
            arguments.bank,
            sources=len(index),
            open_images=cache.open,
            seed=arguments.seed,
            filtered=arguments.filtered,
        )
    return Pretrainer(
        settings,
        images,
        device=device,
        world=world,
        seed=arguments.seed,
        generative=generative,
        interpolated=interpolated,
        runtime=arguments.runtime,
        init=arguments.init,
    )


if __name__ == "__main__":
    parser = training_parser(__doc__)
    parser.add_argument("--bank", type=Path, help="folder of the bank")
    parser.add_argument("--filtered", action="store_true", help="read only the images that its filter keeps")
    parser.add_argument("--init", type=Path, help="folder of the encoder whose weights initialise the backbone")
    parser.add_argument("--arms", type=json.loads, default={}, help="settings of arms, to be checked first, as JSON")
    command.run(main, parser.parse_args())
