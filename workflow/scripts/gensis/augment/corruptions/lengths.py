"""Lengths in px, scaled with the size of the image."""

import torch

SMALL_PX = 64
"""Smaller images are corrupted as in CIFAR-10-C, for 32 px; others as in ImageNet-C, for 224 px."""
LARGE_PX = 224


def scaled(length_px: float, images: torch.Tensor) -> float:
    """Scale a length for images of 224 px to the size of the images. Lengths for small images are not scaled."""
    side_px = min(images.shape[2:])
    return length_px if side_px < SMALL_PX else length_px * side_px / LARGE_PX
