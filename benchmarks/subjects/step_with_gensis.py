"""This pipeline's training steps, by the class that its training script uses."""

from pathlib import Path

import torch
from worker import Work, serve

from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.settings.pretraining import Pretraining
from gensis.settings.runtime import Runtime
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.device import choose_device
from gensis.training.distributed import World


def prepare(order: dict) -> Work:
    """Load the images into memory; a few steps are the warm-up, including compilation."""
    device = choose_device(order["device"] == "cuda", order["threads"])
    torch.backends.cudnn.allow_tf32 = True  # torch's default, which the other subjects have
    settings = Pretraining.model_validate(order["settings"])
    images = open_images(read_index(Path(order["index"])), device, image_cache_gb=8, threads=order["threads"])
    runtime = Runtime(compile=order["compile"])
    pretrainer = Pretrainer(settings, images, device=device, world=World(), seed=0, runtime=runtime)
    step = pretrainer.step
    if order["tensors"]:
        batch = pretrainer.batches.draw(pretrainer.sampler.rows(0))

        def step(number: int) -> dict:
            return pretrainer.learn(batch, number)

    def work(folder: Path, steps: int = order["steps"]) -> int:
        for number in range(steps):
            torch.manual_seed(number)
            loss = step(number)["loss"]
        if not loss.isfinite():  # this also waits for the device
            raise RuntimeError("the loss is not finite")
        return steps * pretrainer.images_per_step

    work(Path(order["folder"]), steps=3)
    return work


serve(prepare)
