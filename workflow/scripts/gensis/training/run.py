"""What all trainings share around their loop: arguments, processes, fingerprint, checkpoints, history, provenance."""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from gensis import command
from gensis.artifacts.folders import write_provenance
from gensis.artifacts.provenance import provenance
from gensis.settings.runtime import Runtime
from gensis.training.checkpoints import CheckpointFolder, fingerprint
from gensis.training.device import allow_tf32, choose_device, device_name
from gensis.training.distributed import World, start_world
from gensis.training.loop import Task, Watch, train, train_and_publish, write_history

Trained = TypeVar("Trained", bound=Task)


def training_parser(description: str) -> argparse.ArgumentParser:
    """Parser with the arguments of all trainings, which `run_training` reads."""
    result = command.parser(description, seed=True, gpus=True)
    result.add_argument("--runtime", type=Runtime.model_validate_json, default=Runtime())
    result.add_argument("--train", type=Path, required=True, help="train.tsv of the data set")
    result.add_argument("--checkpoints", type=Path, required=True, help="root of the checkpoint folders")
    result.add_argument("--events", type=Path, help="folder for TensorBoard")
    result.add_argument("--output", type=Path, required=True, help="folder of the artifact")
    return result


def start(arguments: argparse.Namespace) -> tuple[World, torch.device]:
    """Join the processes that train together, and divide the threads of ``arguments`` among those of this machine.

    Returns:
        This process among all, and its device.
    """
    arguments.threads = max(arguments.threads // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)
    world, device = start_world(choose_device(arguments.gpus, arguments.threads))
    allow_tf32(device, arguments.runtime.tf32)
    return world, device


def run_training(
    arguments: argparse.Namespace,
    world: World,
    device: torch.device,
    *,
    stage: str,
    format: str,
    recipe: int,
    inputs: dict[str, str],
    external_weights: dict[str, str],
    build: Callable[[CheckpointFolder], tuple[Trained, Watch]],
    write: Callable[[Trained, Path], dict[str, Any]],
) -> None:
    """Train from the start or from a checkpoint, or publish a finished training again; then leave the world.

    Args:
        arguments: of a `training_parser`.
        world: this process among all; only the first writes files.
        device: to train on.
        stage: name of the folder among those of the checkpoints, such as `encoder`.
        format: of the artifact, such as `gensis-encoder/1`.
        recipe: version of the training code.
        inputs: name of an input -> its content id.
        external_weights: name of external weights that the artifact depends on -> their content id.
        build: creates the training in its initial state and its ``watch`` (see `train`), given the checkpoint folder.
        write: called in every process, since sharded weights are gathered from all. The first writes the artifact
            into a folder, and returns further fields of the provenance.
    """
    key = partial(fingerprint, arguments.config, inputs, seed=arguments.seed, device=device, recipe=recipe)
    folder = CheckpointFolder(arguments.checkpoints, stage, key(), arguments.runtime.keep_checkpoints)

    def make(target: Path) -> None:
        if device.type == "cpu" and world.is_first:
            folder.warn_of_others({threads: key(threads=threads) for threads in range(1, os.cpu_count() + 1)})
        task, watch = build(folder)
        history = train(
            task,
            folder,
            world,
            device,
            seed=arguments.seed,
            checkpoint_seconds=arguments.runtime.checkpoint_seconds,
            watch=watch,
            events=arguments.events,
        )
        fields = write(task, target)
        if world.is_first:
            write_history(target / "history.csv", history)
            record = provenance(
                format,
                settings=arguments.config,
                inputs=inputs,
                seed=arguments.seed,
                device=device_name(device),
                started=arguments.started,
                external_weights=external_weights,
            )
            write_provenance(target, record | {"recipe": recipe} | fields)

    train_and_publish(folder, world, arguments.output, make)
    world.leave()  # not after an error, when others may never come
