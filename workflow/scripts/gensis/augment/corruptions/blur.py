"""Blur corruptions. Lengths in px are for a side of 224 px, or for small images; see `lengths.scaled`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from gensis.augment.corruptions.corruption import Severities, five
from gensis.augment.corruptions.lengths import scaled


@dataclass(frozen=True)
class GaussianBlur:
    """Gaussian blur."""

    sigma_px: float

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        sigma_px = scaled(self.sigma_px, images)
        return gaussian_blur(images, 2 * int(np.ceil(4 * sigma_px)) + 1, sigma_px)


GAUSSIAN_BLUR = Severities(
    large=five(GaussianBlur, sigma_px=(1, 2, 3, 4, 6)),
    small=five(GaussianBlur, sigma_px=(0.4, 0.6, 0.7, 0.8, 1)),
)


@dataclass(frozen=True)
class Defocus:
    """Defocus: average over a disc with a soft edge."""

    radius_px: float
    edge_sigma_px: float

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        wide = 3 if self.radius_px <= 8 else 5
        radius_px, edge_sigma_px = scaled(self.radius_px, images), scaled(self.edge_sigma_px, images)
        half = math.ceil(radius_px) + wide - 1  # the softened disc is 0 beyond it
        places = torch.arange(-half, half + 1, device=images.device, dtype=torch.float32)
        disc = (places[:, None].square() + places.square() <= radius_px**2).float()
        disc = gaussian_blur(disc[None] / disc.sum(), wide, edge_sigma_px)
        kernel = disc.expand(3, 1, *disc.shape[1:])
        return F.conv2d(F.pad(images, [half] * 4, mode="reflect"), kernel, groups=3)


DEFOCUS = Severities(
    large=five(Defocus, radius_px=(3, 4, 6, 8, 10), edge_sigma_px=(0.1, 0.5, 0.5, 0.5, 0.5)),
    small=five(Defocus, radius_px=(0.3, 0.4, 0.5, 1, 1.5), edge_sigma_px=(0.4, 0.5, 0.6, 0.2, 0.1)),
)


@dataclass(frozen=True)
class Glass:
    """Frosted glass: blur, replace each pixel with a random neighbour several times, and blur again.

    The original swaps pixels one by one in a Python loop.
    """

    sigma_px: float
    """Of both blurs."""
    distance_px: float
    """Largest distance of a neighbour."""
    times: int
    """Number of replacements."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        blur = GaussianBlur(self.sigma_px)
        distance_px = max(1, round(scaled(self.distance_px, images)))
        height, width = images.shape[2:]
        rows, columns = np.mgrid[:height, :width]
        generators = [np.random.default_rng(seed) for seed in seeds]
        images = blur(images, seeds)
        for _ in range(self.times):
            drawn = np.stack([each.integers(-distance_px, distance_px, (2, height, width)) for each in generators])
            places = (rows + drawn[:, 0]).clip(0, height - 1) * width + (columns + drawn[:, 1]).clip(0, width - 1)
            index = torch.from_numpy(places).to(images.device).flatten(1)[:, None].expand(-1, 3, -1)
            images = images.flatten(2).gather(2, index).view_as(images)
        return blur(images, seeds)


GLASS = Severities(
    large=five(Glass, sigma_px=(0.7, 0.9, 1, 1.1, 1.5), distance_px=(1, 2, 2, 3, 4), times=(2, 1, 3, 2, 2)),
    small=five(Glass, sigma_px=(0.05, 0.25, 0.4, 0.25, 0.4), distance_px=(1, 1, 1, 1, 1), times=(1, 1, 1, 2, 2)),
)


@dataclass(frozen=True)
class Motion:
    """Motion blur along a line of at most 45 degrees to the horizontal."""

    radius_px: float
    """Half the length of the line."""
    sigma_px: float
    """Of the weights along the line."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        angles = [np.random.default_rng(seed).uniform(-np.pi / 4, np.pi / 4) for seed in seeds]
        return self.along(images, angles)

    def along(self, images: torch.Tensor, angles: Sequence[float]) -> torch.Tensor:
        """Images (B, C, H, W) blurred along lines, one angle in radians per image."""
        radius_px, sigma_px = scaled(self.radius_px, images), scaled(self.sigma_px, images)
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


MOTION = Severities(
    large=five(Motion, radius_px=(10, 15, 15, 15, 20), sigma_px=(3, 5, 8, 12, 15)),
    small=five(Motion, radius_px=(6, 6, 6, 8, 9), sigma_px=(1, 1.5, 2, 2, 2.5)),
)


@dataclass(frozen=True)
class Zoom:
    """Mean of the image and its enlargements."""

    below_factor: float
    """All factors of enlargement are below it."""
    factor_step: float
    """Difference of two factors, which begin at 1."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        factors = np.arange(1, self.below_factor, self.factor_step)
        return (images + sum(enlarged(images, factor) for factor in factors)) / (len(factors) + 1)


ZOOM = Severities(
    large=five(Zoom, below_factor=(1.11, 1.16, 1.21, 1.26, 1.31), factor_step=(0.01, 0.01, 0.02, 0.02, 0.03)),
    small=five(Zoom, below_factor=(1.06, 1.11, 1.16, 1.21, 1.26), factor_step=(0.01, 0.01, 0.01, 0.01, 0.01)),
)


def enlarged(images: torch.Tensor, factor: float) -> torch.Tensor:
    """The centre of images (B, C, H, W), enlarged to their size."""
    theta = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]], device=images.device, dtype=images.dtype)
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
