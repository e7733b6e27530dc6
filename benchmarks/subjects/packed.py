"""Reads the images of a case (image stores and their index) without this project, for all subjects."""

import csv
import io
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
from PIL import Image


def stores(index: str) -> list[Path]:
    """The stores that a `train.tsv` lists, in order."""
    with open(index) as stream:
        return [Path(index).parent / f"{line['unit']}.h5" for line in csv.DictReader(stream, delimiter="\t")]


def encoded_images(index: str) -> list[bytes]:
    """The bytes of all images, in order."""
    images = []
    for path in stores(index):
        with h5py.File(path) as file:
            data, offsets = file["encoded"][:], file["offsets"][:]
        images += [data[first:last].tobytes() for first, last in pairwise(offsets)]
    return images


def decoded_images(index: str) -> list[Image.Image]:
    """All images in RGB, in order."""
    return [Image.open(io.BytesIO(encoded)).convert("RGB") for encoded in encoded_images(index)]


def pixels(index: str) -> np.ndarray:
    """All images, which must have the same size: uint8 (n, 3, height, width)."""
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in decoded_images(index)])
