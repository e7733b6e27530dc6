"""Compares results of a GPU with those of the CPU. Prints a JSON line per check; exit status 1 if one fails.

See README.md.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from images import make_images

from gensis.augment.resample import prepared
from gensis.augment.views import Draws, draw, make
from gensis.images.index import read_index
from gensis.images.reading import Images, open_images
from gensis.settings.pretraining import Pretraining
from gensis.settings.runtime import Runtime
from gensis.ssl.auto import resolve, view_recipes
from gensis.ssl.batch import Batch
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

CPU = torch.device("cpu")
STEPS = 4
SETTINGS: dict[str, Any] = {
    "dataset": "none",
    "image_px": 32,
    "batch_size": 32,
    "dino": {"prototypes": 256, "head_hidden_dim": 128, "head_bottleneck_dim": 64, "teacher_temperature": 0.04},
    "drop_path": 0.0,
}
BACKBONES = {
    "vit": {"backbone": "vit_tiny_patch16_224", "backbone_args": {"patch_size": 4, "depth": 2}},
    "resnet": {"backbone": "resnet18_cifar", "views": {"local_crops": 0}},
}
TOY = {"vit": {"batch_size": 8}, "resnet": {"batch_size": 8, "backbone_args": {"channels": (8, 8, 8, 8)}}}
"""Settings with which a step takes hardly any time on a CPU."""


def main(arguments: argparse.Namespace) -> None:
    """Run and print the checks."""
    device = torch.device(arguments.device)
    failed = False
    with tempfile.TemporaryDirectory(prefix="checks-") as name:
        index = read_index(make_images("cifar10", 32, 256, Path(name) / "images"))
        made = (compiled_steps if arguments.compile else checks)(index, device, arguments.toy)
        for check, difference, tolerance in made:
            line = {"check": check, "difference": round(difference, 6), "tolerance": tolerance}
            line["ok"] = difference <= tolerance
            failed |= not line["ok"]
            print(json.dumps(line), flush=True)
    sys.exit(failed)


def checks(index: Any, device: torch.device, toy: bool) -> Iterator[tuple[str, float, float]]:
    """Name, largest difference and tolerance of each check."""
    rows = torch.randperm(len(index))[:64]
    on_cpu = open_images(index, CPU, image_cache_gb=8, threads=2)
    on_device = open_images(index, device, image_cache_gb=8, threads=2)
    streamed = open_images(index, device, image_cache_gb=0, threads=2)
    streamed.prefetch(rows)
    expected = on_cpu.batch(rows)
    for name, images in (("held", on_device), ("streamed", streamed)):
        yield f"images {name}", largest(images.batch(rows), expected), 0.0
    for name, difference in views(expected, device).items():
        # The CPU rounds crops to 8 bits; brightness and contrast then stretch them by 1.4 each, saturation by 1.2.
        yield f"views {name}", difference, 2 * 1.4**2 * 1.2 / 255
    for name, settings in all_settings(toy).items():
        batch = batch_of(settings, on_cpu, rows, CPU)
        reference = losses(settings, on_cpu, batch, CPU)
        yield f"step {name} float32", distance(losses(settings, on_device, batch, device), reference), 2e-3
        half = settings.model_copy(update={"precision": "bfloat16"})
        yield f"step {name} bfloat16", distance(losses(half, on_device, batch, device), reference), 2e-2


def compiled_steps(index: Any, device: torch.device, toy: bool) -> Iterator[tuple[str, float, float]]:
    """The same of compiled steps, compared with eager ones on the device."""
    rows = torch.randperm(len(index))[:64]
    images = open_images(index, device, image_cache_gb=8, threads=2)
    for name, settings in all_settings(toy).items():
        batch = batch_of(settings, images, rows, device)
        eager, compiled = (losses(settings, images, batch, device, compile=flag) for flag in (False, True))
        yield f"step {name} compiled", distance(compiled, eager), 2e-3


def all_settings(toy: bool) -> dict[str, Pretraining]:
    """Settings of the pre-training, by backbone."""
    return {
        name: Pretraining.model_validate(SETTINGS | own | (TOY[name] if toy else {})) for name, own in BACKBONES.items()
    }


def batch_of(settings: Pretraining, images: Images, rows: torch.Tensor, device: torch.device) -> Batch:
    """Views of the first of some rows."""
    pretrainer = Pretrainer(settings, images, device=device, world=World(), seed=0)
    return pretrainer.batches.draw(rows[: settings.batch_size])


def recipes(settings: Pretraining, images: int) -> tuple:
    """Recipes of the views that the settings define."""
    return view_recipes(resolve(settings, images, 4, {}).settings.views, settings.image_px)


def views(images: torch.Tensor, device: torch.device) -> dict[str, float]:
    """Largest difference between device and CPU of views of uint8 (B, 3, H, W) made with the same draws, by kind."""
    settings = Pretraining.model_validate({"dataset": "none", "preset": "paper"})
    first, second, local = recipes(settings, len(images))
    kinds = {"first": first, "second": second, "local": local}
    kinds["turned"] = replace(second, size_px=32, rotate=True, stain=0.05)
    sizes = torch.tensor([images.shape[2:]]).expand(len(images), 2)
    result = {}
    for name, recipe in kinds.items():
        draws = draw(sizes, recipe)
        on_device = make(prepared(images.to(device)), Draws(*(value.to(device) for value in draws)), recipe)
        result[name] = largest(on_device, make(prepared(images), draws, recipe))
    return result


def losses(
    settings: Pretraining, images: Images, batch: Batch, device: torch.device, compile: bool = False
) -> list[float]:
    """Losses of a few steps on one batch."""
    pretrainer = Pretrainer(settings, images, device=device, world=World(), seed=0, runtime=Runtime(compile=compile))
    tensors = {name: value for name, value in vars(batch.views).items() if value is not None}
    moved = replace(batch.views, **{name: value.to(device) for name, value in tensors.items()})
    return [float(pretrainer.learn(Batch(moved), step)["loss"]) for step in range(STEPS)]


def largest(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference of two tensors."""
    return float((one.cpu().float() - other.cpu().float()).abs().max())


def distance(one: list[float], other: list[float]) -> float:
    """Largest relative difference of two lists of losses."""
    return max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--compile", action="store_true", help="check compiled steps instead")
    parser.add_argument("--toy", action="store_true", help="toy size, to check that the benchmark runs")
    main(parser.parse_args())
