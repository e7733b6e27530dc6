"""Pre-train an encoder with DINO, or with --bank with Gen-DINO, and publish it in timm's hub layout."""

import argparse
import logging
from functools import partial
from pathlib import Path

import torch

from gensis import command
from gensis.artifacts.files import content_id
from gensis.artifacts.folders import write_provenance
from gensis.artifacts.provenance import external_weights_of, provenance
from gensis.errors import UserError
from gensis.images.embeddings import external_weights
from gensis.images.index import Index, read_index
from gensis.images.reading import open_images
from gensis.images.snapshots import add_snapshot, write_snapshots
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.settings.runtime import Runtime
from gensis.ssl import RECIPE
from gensis.ssl.backbone import FORMAT, save_encoder
from gensis.ssl.bank_images import bank_contents, open_parts
from gensis.ssl.monitor import Monitor
from gensis.ssl.preprocessing import Preprocessing
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.checkpoints import CheckpointFolder, fingerprint
from gensis.training.device import choose_device, device_name
from gensis.training.distributed import World, start_world
from gensis.training.loop import train, train_and_publish, write_history

log = logging.getLogger("pretrain_encoder")


def main(arguments: argparse.Namespace) -> None:
    """Train or resume, and publish; or publish an encoder that is already trained."""
    world, device = start_world(choose_device(arguments.gpus, arguments.threads))
    settings = (Retraining if "bank" in arguments.config else Pretraining).model_validate(arguments.config)
    if isinstance(settings, Retraining):
        check_bank(settings, arguments.bank)
    index = read_index(arguments.train)
    inputs, external = {"train": content_id(arguments.train)}, {}
    if arguments.bank:
        inputs |= bank_contents(arguments.bank, arguments.filtered)
        external |= external_weights(sorted(arguments.bank.glob("*-*.h5")))
    if arguments.init:
        inputs["init"] = content_id(arguments.init / "model.safetensors")
        external |= external_weights_of(arguments.init)
    key = fingerprint(arguments.config, inputs, arguments.seed, device, RECIPE)
    folder = CheckpointFolder(arguments.checkpoints, "encoder", key, arguments.runtime.keep_checkpoints)

    def make(target: Path) -> None:
        pretrainer = build(arguments, settings, index, device, world)
        runtime, seed = arguments.runtime, arguments.seed
        snapshots = folder.path / "snapshots"

        def keep(step: int, embeddings: torch.Tensor) -> None:
            if world.is_first:
                add_snapshot(snapshots, step, embeddings.cpu().numpy())

        monitor = Monitor(pretrainer, seed, runtime.monitor_epochs, keep)
        history = train(
            pretrainer,
            folder,
            world,
            device,
            seed=seed,
            checkpoint_seconds=runtime.checkpoint_seconds,
            watch=monitor,
            events=arguments.events,
        )
        encoder = pretrainer.encoder()
        if world.is_first:
            write_history(target / "history.csv", history)
            write_snapshots(target / "embedding_snapshots.h5", monitor.rows.numpy(), snapshots)
            save_encoder(
                encoder,
                target,
                settings.backbone,
                pretrainer.backbone_args,
                Preprocessing((settings.image_px,) * 2, pretrainer.mean, pretrainer.std),
            )
            record = provenance(
                FORMAT, arguments.config, inputs, arguments.seed, device_name(device), arguments.started, external
            )
            record |= {"recipe": RECIPE, "resolved": vars(pretrainer.resolved)}
            write_provenance(target, record | {"weights": content_id(target / "model.safetensors")})

    train_and_publish(folder, world, arguments.output, make)


def check_bank(settings: Retraining, bank: Path | None) -> None:
    """Refuse settings with a bank if --bank is missing, and the reverse; log the reason for the epochs."""
    if (settings.bank is None) != (bank is None):
        raise UserError(f"--config has bank = {settings.bank} and --bank is {bank}: give both or neither")
    if settings.match_compute:
        log.info("epochs: %d, to match the compute of %s", settings.epochs, settings.match_compute)


def build(
    arguments: argparse.Namespace, settings: Pretraining, index: Index, device: torch.device, world: World
) -> Pretrainer:
    """The training in its initial state."""
    opened = partial(
        open_images, device=device, image_cache_gb=arguments.runtime.image_cache_gb, threads=arguments.threads
    )
    images = opened(index)
    generative = interpolated = None
    if arguments.bank:
        generative, interpolated = open_parts(
            settings, arguments.bank, len(index), opened, arguments.seed, arguments.filtered
        )
    return Pretrainer(
        settings,
        images,
        device,
        world,
        arguments.seed,
        generative,
        interpolated,
        arguments.runtime,
        arguments.init,
    )


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    parser.add_argument("--runtime", type=Runtime.model_validate_json, default=Runtime())
    parser.add_argument("--train", type=Path, required=True, help="train.tsv of the data set")
    parser.add_argument("--bank", type=Path, help="folder of the bank")
    parser.add_argument("--filtered", action="store_true", help="read only the images that its filter keeps")
    parser.add_argument("--init", type=Path, help="folder of the encoder whose weights initialise the backbone")
    parser.add_argument("--checkpoints", type=Path, required=True, help="root of the checkpoint folders")
    parser.add_argument("--events", type=Path, help="folder for TensorBoard")
    parser.add_argument("--output", type=Path, required=True, help="folder of the encoder")
    command.run(main, parser.parse_args())
