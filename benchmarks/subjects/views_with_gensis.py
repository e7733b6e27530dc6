"""This pipeline's views: images in memory as in training, views of whole batches."""

from pathlib import Path

import torch
from worker import Work, serve

from gensis.augment.views import ViewRecipe
from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.ssl.bank_views import real_views
from gensis.training.device import choose_device


def prepare(order: dict) -> Work:
    """Load the images into memory; two batches are the warm-up."""
    device = choose_device(order["device"] == "cuda", order["threads"])
    images = open_images(read_index(Path(order["index"])), device, image_cache_gb=8, threads=order["threads"])
    first, second, *locals_ = (ViewRecipe(**recipe) for recipe in order["recipes"])
    recipes = (first, second, locals_[0] if locals_ else second)
    mean, std = (torch.tensor(order[name], device=device).view(1, 3, 1, 1) for name in ("mean", "std"))

    def make(rows: torch.Tensor) -> None:
        views = real_views(images.batch(rows), recipes, len(locals_))
        for made in (views.global_views, views.local_views):
            made.sub_(mean).div_(std)

    def work(folder: Path) -> int:
        for rows in torch.randperm(len(images)).split(order["batch"]):
            make(rows)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return len(images)

    for _ in range(2):
        make(torch.arange(min(order["batch"], len(images))))
    return work


serve(prepare)
