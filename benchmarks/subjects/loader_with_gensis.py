"""Batches as this pipeline's training reads them if the images do not fit in memory."""

from pathlib import Path

import torch
from worker import Work, serve

from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.training.sampler import Sampler


def prepare(order: dict) -> Work:
    """Open the stores; two batches are the warm-up."""
    images = open_images(
        read_index(Path(order["index"])), torch.device("cpu"), image_cache_gb=0, threads=order["threads"]
    )
    sampler = Sampler(len(images), order["batch"], seed=0)

    def work(folder: Path, steps: int = sampler.steps_per_epoch) -> int:
        for step in range(steps):
            images.batch(sampler.rows(step))
        return steps * sampler.batch_size

    work(Path(order["folder"]), steps=2)
    return work


serve(prepare)
