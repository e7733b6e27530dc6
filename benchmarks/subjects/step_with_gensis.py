"""This pipeline's training steps, by the class that its script trains with."""

from pathlib import Path

import torch
from worker import Work, serve

from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.settings.pretraining import Pretraining
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World


def prepare(order: dict) -> Work:
    """Hold the images; two steps warm up."""
    device = torch.device(order["device"])
    images = open_images(read_index(Path(order["index"])), device, memory_gb=8, threads=order["threads"])
    pretrainer = Pretrainer(Pretraining.model_validate(order["settings"]), images, device, World(), seed=0)

    def work(folder: Path, steps: int = order["steps"]) -> int:
        for step in range(steps):
            torch.manual_seed(step)
            loss = pretrainer.step(step)["loss"]
        if not loss.isfinite():
            raise RuntimeError("the loss is not finite")
        return steps * pretrainer.images_per_step

    work(Path(order["folder"]), steps=2)
    return work


serve(prepare)
