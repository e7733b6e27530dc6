"""The original recipe's views, stacked to batches; two processes take every second image each."""

from pathlib import Path

import torch
from packed import decoded_images
from pil_views import MultiCrop
from worker import Work, serve


def prepare(order: dict) -> Work:
    """Decode this process's share of the images; eight images are the warm-up."""
    images = decoded_images(order["index"])[order["number"] :: order["processes"]]
    views_of = MultiCrop(order["recipes"], order["mean"], order["std"])

    def work(folder: Path) -> int:
        for first in range(0, len(images), order["batch"]):
            views = [views_of(image) for image in images[first : first + order["batch"]]]
            for same in zip(*views, strict=True):
                torch.stack(same)
        return len(images)

    for image in images[:8]:
        views_of(image)
    return work


serve(prepare)
