"""Tiny data sets and embeddings for tests of the diffusion model and of the bank."""

import os
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tests.warm_python import warm_python

from gensis.diffusion.inputs import Pixels
from gensis.images.codec import encode_png
from gensis.images.embeddings import write_embeddings
from gensis.images.features import Features
from gensis.images.index import read_index, write_index
from gensis.images.reading import open_images
from gensis.images.store import write_store

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
CPU = torch.device("cpu")
HELD = partial(open_images, device=CPU, image_cache_gb=1.0, threads=1)
UNET = {"channels": [8, 16], "layers_per_block": 1, "attention_levels": 0, "warmup_steps": 5, "learning_rate": 2e-3}


def smooth_images(count: int, px: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, px, px, 3): images that blend a random colour in each corner."""
    corners = np.random.default_rng(seed).uniform(0, 255, (count, 2, 2, 3))
    along = np.stack([np.linspace(1, 0, px), np.linspace(0, 1, px)])
    return np.einsum("ay,bx,nabc->nyxc", along, along, corners).round().astype(np.uint8)


def write_dataset(folder: Path, count: int, px: int, units: int = 1) -> Path:
    """A train split of several stores; returns its train.tsv."""
    listed = []
    for unit, images in enumerate(np.array_split(smooth_images(count, px), units)):
        name = f"train-{unit:04d}"
        listed.append((name, *write_store(folder / f"{name}.h5", [encode_png(image) for image in images], {})))
    write_index(folder / "train.tsv", listed)
    return folder / "train.tsv"


def write_features(
    path: Path, train: Path, width: int, features: np.ndarray | None = None, *, with_mirrored: bool = False
) -> Path:
    """Write embeddings of a train split's images as one part; random unless given. Mirrored images get the same."""
    index = read_index(train)
    if features is None:
        features = np.random.default_rng(1).normal(size=(len(index), width)).astype(np.float32)
    unit = np.repeat(np.arange(len(index.units)), np.diff(index.first_rows))
    keys = np.array([str(row) for row in range(len(index))], object)
    flipped = [features] if with_mirrored else None
    write_embeddings(path, [features], unit=unit, units=index.units, keys=keys, flipped=flipped)
    return path


def open_pixels(train: Path, px: int) -> Pixels:
    """The train split's images as a model's inputs."""
    return Pixels(open_images(read_index(train), CPU, 1.0, 1), px)


def open_features(train: Path, features: np.ndarray) -> Features:
    """The given embeddings as features of the train split's images."""
    return Features(read_index(train), [write_features(train.parent / "part.h5", train, features.shape[1], features)])


def run_script(name: str, *arguments: object, status: int = 0, environment: dict[str, str] | None = None) -> str:
    """Run a script as Snakemake would, on one thread; returns its log."""
    line = [warm_python(), SCRIPTS / f"{name}.py", "--threads", 1, *arguments]
    done = subprocess.run(
        [str(word) for word in line], capture_output=True, text=True, env=os.environ | (environment or {})
    )
    assert done.returncode == status, done.stderr
    return done.stderr
