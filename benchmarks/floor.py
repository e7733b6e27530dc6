"""Baseline from colour and texture: hand-crafted features of a data set's images, evaluated like those of an encoder.

    snakemake images results/images/lymphoma/labels.tsv --cores all --configfile config/lymphoma.yaml
    python benchmarks/floor.py --images results/images/lymphoma --slides-are-units --output /tmp/floor

Any encoder of tissue should exceed this baseline. Prints a JSON line per metric.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from gensis.artifacts.files import read_json
from gensis.artifacts.tables import read_table
from gensis.augment.colour import constants
from gensis.images.embeddings import write_embeddings
from gensis.images.reading import read_units
from gensis.images.store import Store
from gensis.settings.evaluation import Evaluation

SCRIPT = Path(__file__).parents[1] / "workflow/scripts/evaluate_encoder.py"
BLOCK, LEVELS = 64, 3
AROUND = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
CPU = torch.device("cpu")


def colour(images: torch.Tensor) -> torch.Tensor:
    """Mean, standard deviation and deciles of the colours and of three stains: (B, 66) of (B, 3, H, W) in [0, 1]."""
    density = -images.clamp(min=1 / 255).log().flatten(2)
    values = torch.cat([images.flatten(2), constants(CPU).stains_of_density @ density], 1)
    ranked = values.sort(dim=2).values
    deciles = ranked[:, :, torch.linspace(0.1, 0.9, 9).mul(ranked.shape[2]).long()]
    return torch.cat([values.mean(2), values.std(2), deciles.flatten(1)], 1)


def texture(grey: torch.Tensor) -> torch.Tensor:
    """Local binary patterns (Ojala et al. 2002) at three scales: (B, 768) of (B, H, W)."""
    parts = []
    for _ in range(LEVELS):
        height, width = (side - 2 for side in grey.shape[1:])
        code = torch.zeros(len(grey), height, width, dtype=torch.uint8)
        for bit, (top, left) in enumerate(AROUND):
            code |= (grey[:, top : top + height, left : left + width] > grey[:, 1:-1, 1:-1]).byte() << bit
        parts += [torch.bincount(one, minlength=256) / one.numel() for one in code.flatten(1)]
        grey = F.avg_pool2d(grey, 2)
    return torch.stack(parts).unflatten(0, (LEVELS, -1)).transpose(0, 1).flatten(1)


def features(images: Path, units: list[str], threads: int) -> Iterator[np.ndarray]:
    """Features of all images, block by block: float32 (n, D)."""
    yield np.zeros((0, describe(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape[1]), np.float32)
    for block in read_units([images / f"{unit}.h5" for unit in units], BLOCK, CPU, threads):
        yield describe(block).numpy()


def describe(block: torch.Tensor) -> torch.Tensor:
    """Features float32 (B, D) of uint8 (B, 3, H, W).

    Colour has the same weight as texture. The square root of a histogram makes a cosine a Bhattacharyya coefficient.
    """
    pixels = block.float() / 255
    parts = colour(pixels), texture(pixels.mean(1)).sqrt()
    return torch.cat([F.normalize(part) for part in parts], 1)


def main(arguments: argparse.Namespace) -> None:
    """Compute the features of all images, then evaluate them."""
    units = [unit["unit"] for unit in read_table(arguments.images / "units.tsv")]
    keys, counts = [], []
    for unit in units:
        with Store(arguments.images / f"{unit}.h5") as store:
            keys.append(store.column("coords" if "coords" in store.file else "key"))
            counts.append(len(store))
    part = arguments.output / "part-0000.h5"
    arguments.output.mkdir(parents=True, exist_ok=True)
    unit = np.repeat(np.arange(len(units)), counts)
    write_embeddings(
        part, features(arguments.images, units, arguments.threads), unit=unit, units=units, keys=np.concatenate(keys)
    )
    settings = Evaluation()
    tasks = list(settings.image_tasks) + list(settings.slide_tasks if arguments.slides_are_units else ())
    dataset = arguments.images.name
    options = ["--embeddings", part, "--encoder", "hand-made", "--dataset", dataset, "--tasks", *tasks]
    options += ["--units", arguments.images / "units.tsv", "--labels", arguments.images / "labels.tsv"]
    options += ["--slides-are-units"] if arguments.slides_are_units else []
    options += ["--output", arguments.output, "--threads", str(arguments.threads)]
    subprocess.run([sys.executable, SCRIPT, *options], check=True)
    for task in tasks:
        for metric in read_json(arguments.output / f"{task}.json").get("metrics", []):
            print(json.dumps({"case": "floor", "dataset": dataset, "task": task} | metric))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of an imported or tiled data set")
    parser.add_argument("--slides-are-units", action="store_true", help="the units are slides")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    main(parser.parse_args())
