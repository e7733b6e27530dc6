"""Lengths in px, which grow with the image."""

import torch

SMALL_PX = 64
"""Images below are corrupted as in CIFAR-10-C, for 32 px; others as in ImageNet-C, for 224 px."""
LARGE_PX = 224


def scaled(length_px: float, images: torch.Tensor) -> float:
    """A length of images of 224 px in images of another size; of small ones, whose severities are their own, itself."""
    side_px = min(images.shape[2:])
    return length_px if side_px < SMALL_PX else length_px * side_px / LARGE_PX
