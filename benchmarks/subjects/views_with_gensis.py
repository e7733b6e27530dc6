"""This pipeline's views: images as training holds them, views of whole batches by `gensis.augment.views`."""

from pathlib import Path

import torch
from worker import Work, serve

from gensis.augment.views import ViewRecipe, view
from gensis.images.index import read_index
from gensis.images.reading import open_images


def prepare(order: dict) -> Work:
    """Hold the images; the first batch warms up."""
    device = torch.device(order["device"])
    images = open_images(read_index(Path(order["index"])), device, memory_gb=8, threads=order["threads"])
    recipes = [ViewRecipe(**recipe) for recipe in order["recipes"]]
    mean, std = (torch.tensor(order[name], device=device).view(1, 3, 1, 1) for name in ("mean", "std"))

    def make(rows: torch.Tensor) -> None:
        batch = images.batch(rows)
        views = [view(batch, recipe) for recipe in recipes]
        for size in {recipe.size_px for recipe in recipes}:
            (torch.cat([one for one in views if one.shape[2] == size]) - mean) / std

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
