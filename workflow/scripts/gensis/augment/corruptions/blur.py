"""Blur corruptions. All functions take float32 (B, 3, H, W) in [0, 1], lengths in px and a seed per image."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from gensis.augment.corruptions.lengths import scaled


def blur(images: torch.Tensor, sigma_px: float, seeds: Sequence[int]) -> torch.Tensor:
    """Gaussian blur with this sigma."""
    sigma_px = scaled(sigma_px, images)
    return gaussian_blur(images, 2 * int(np.ceil(4 * sigma_px)) + 1, sigma_px)


def defocus(images: torch.Tensor, lens: tuple[float, float], seeds: Sequence[int]) -> torch.Tensor:
    """Defocus: average over a disc; `lens` is its radius and the sigma of its soft edge, in px."""
    wide = 3 if lens[0] <= 8 else 5
    radius_px, edge_px = (scaled(length_px, images) for length_px in lens)
    half = math.ceil(radius_px) + wide - 1  # the softened disc is 0 beyond it
    places = torch.arange(-half, half + 1, device=images.device, dtype=torch.float32)
    disc = (places[:, None].square() + places.square() <= radius_px**2).float()
    disc = gaussian_blur(disc[None] / disc.sum(), wide, edge_px)
    kernel = disc.expand(3, 1, *disc.shape[1:])
    return F.conv2d(F.pad(images, [half] * 4, mode="reflect"), kernel, groups=3)


def glass(images: torch.Tensor, pane: tuple[float, float, int], seeds: Sequence[int]) -> torch.Tensor:
    """Frosted glass: blur, replace each pixel with a random neighbour several times, and blur again.

    `pane` is the sigma of the blur in px, the largest distance of a neighbour in px, and the number of replacements.
    The original swaps pixels one by one in a Python loop.
    """
    sigma_px, distance_px, times = pane
    distance_px = max(1, round(scaled(distance_px, images)))
    height, width = images.shape[2:]
    rows, columns = np.mgrid[:height, :width]
    generators = [np.random.default_rng(seed) for seed in seeds]
    images = blur(images, sigma_px, seeds)
    for _ in range(times):
        drawn = np.stack([each.integers(-distance_px, distance_px, (2, height, width)) for each in generators])
        places = (rows + drawn[:, 0]).clip(0, height - 1) * width + (columns + drawn[:, 1]).clip(0, width - 1)
        index = torch.from_numpy(places).to(images.device).flatten(1)[:, None].expand(-1, 3, -1)
        images = images.flatten(2).gather(2, index).view_as(images)
    return blur(images, sigma_px, seeds)


def motion(images: torch.Tensor, path: tuple[float, float], seeds: Sequence[int]) -> torch.Tensor:
    """Motion blur along a line of at most 45 degrees to the horizontal; `path` as in `drawn_along`."""
    angles = [np.random.default_rng(seed).uniform(-np.pi / 4, np.pi / 4) for seed in seeds]
    return drawn_along(images, path, angles)


def drawn_along(images: torch.Tensor, path: tuple[float, float], angles: Sequence[float]) -> torch.Tensor:
    """Images (B, C, H, W) blurred along lines, one angle per image; `path` is half the length and the sigma, in px."""
    radius_px, sigma_px = (scaled(length_px, images) for length_px in path)
    steps = 2 * round(radius_px) + 1
    weights = np.exp(-0.5 * (np.arange(steps) / sigma_px) ** 2)
    padded = F.pad(images, [steps] * 4, mode="replicate")
    height, width = images.shape[2:]
    moved = []
    for image, angle in zip(padded, angles):
        across, down = (np.rint(np.arange(steps) * part).astype(int) for part in (np.cos(angle), np.sin(angle)))
        along = (image[:, steps + y :, steps + x :][:, :height, :width] for x, y in zip(across, down))
        moved.append(sum(weight * part for weight, part in zip(weights / weights.sum(), along)))
    return torch.stack(moved).to(images.dtype)


def zoom(images: torch.Tensor, enlargements: tuple[float, float], seeds: Sequence[int]) -> torch.Tensor:
    """Mean of the image and its enlargements; `enlargements` is the (excluded) largest factor and the step."""
    below, step = enlargements
    factors = np.arange(1, below, step)
    return (images + sum(enlarged(images, factor) for factor in factors)) / (len(factors) + 1)


def enlarged(images: torch.Tensor, factor: float) -> torch.Tensor:
    """The centre of images (B, C, H, W), enlarged to their size."""
    theta = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]], device=images.device, dtype=images.dtype)
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
