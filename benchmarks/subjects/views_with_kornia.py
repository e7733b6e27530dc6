"""Views of whole batches by kornia's augmentations, with separate parameters for each image."""

from pathlib import Path

import torch
from kornia import augmentation
from kornia.constants import Resample
from packed import pixels
from worker import Work, serve

BLUR_SIGMA_PX = (0.1, 2.0)
BLUR_KERNEL_PX = 13


def transform(recipe: dict, mean: list[float], std: list[float]) -> augmentation.AugmentationSequential:
    """One kind of view of float32 (B, 3, H, W) in [0, 1]."""
    side = recipe["size_px"]
    strengths = (recipe[name] for name in ("brightness", "contrast", "saturation", "hue"))
    steps = [
        augmentation.RandomResizedCrop((side, side), scale=tuple(recipe["scale"]), resample=Resample.BICUBIC),
        augmentation.RandomHorizontalFlip(p=recipe["flip"]),
        augmentation.ColorJitter(*strengths, p=recipe["jitter"]),
        augmentation.RandomGrayscale(p=recipe["grayscale"]),
    ]
    if recipe["blur"]:
        steps.append(augmentation.RandomGaussianBlur((BLUR_KERNEL_PX,) * 2, BLUR_SIGMA_PX, p=recipe["blur"]))
    if recipe["solarize"]:
        steps.append(augmentation.RandomSolarize((0.5, 0.5), (0.0, 0.0), p=recipe["solarize"]))
    return augmentation.AugmentationSequential(
        *steps, augmentation.Normalize(torch.tensor(mean), torch.tensor(std)), data_keys=["input"]
    )


def prepare(order: dict) -> Work:
    """Load the images into memory as bytes; two batches are the warm-up."""
    device = torch.device(order["device"])
    images = torch.from_numpy(pixels(order["index"])).to(device)
    transforms = [transform(recipe, order["mean"], order["std"]) for recipe in order["recipes"]]

    def make(rows: torch.Tensor) -> None:
        batch = images[rows.to(device)].float() / 255
        for one in transforms:
            one(batch)

    def work(folder: Path) -> int:
        for rows in torch.randperm(len(images)).split(order["batch"]):
            make(rows)
        return len(images)

    for _ in range(2):
        make(torch.arange(min(order["batch"], len(images))))
    return work


serve(prepare)
