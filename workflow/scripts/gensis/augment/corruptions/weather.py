"""Weather corruptions. All functions take float32 (B, 3, H, W) in [0, 1], amounts and a seed per image."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from gensis.augment.corruptions.blur import drawn_along, enlarged
from gensis.augment.corruptions.lengths import scaled

Snowfall = tuple[float, float, float, float, float, float, float]


def snow(images: torch.Tensor, snowfall: Snowfall, seeds: Sequence[int]) -> torch.Tensor:
    """Add falling snowflakes and whiten the image.

    Args:
        images: float32 (B, 3, H, W).
        snowfall: mean and standard deviation of the noise that gives the flakes, their size in px, the threshold of a
            flake, `path` of their motion blur in px, and the weight of the original image against the whitened one.
        seeds: one per image.
    """
    mean, deviation, size_px, least, *path, kept = snowfall
    generators = [np.random.default_rng(seed) for seed in seeds]
    noise = np.stack([each.normal(mean, deviation, images.shape[2:]) for each in generators])[:, None]
    flakes = torch.from_numpy(noise.astype(np.float32)).to(images.device)
    flakes = enlarged(flakes, max(1, scaled(size_px, images)))
    flakes = torch.where(flakes < least, 0, flakes).clamp(max=1)
    flakes = drawn_along(flakes, path, [each.uniform(np.pi / 4, 3 * np.pi / 4) for each in generators])
    grey = (images * images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    whitened = kept * images + (1 - kept) * torch.maximum(images, 1.5 * grey + 0.5)
    return whitened + flakes + flakes.flip(2, 3)


def fog(images: torch.Tensor, fog: tuple[float, float], seeds: Sequence[int]) -> torch.Tensor:
    """Add clouds; the largest value does not change. `fog` is their amount and roughness decay."""
    amount, decay = fog
    height, width = images.shape[2:]
    clouds = np.stack([_clouds(max(height, width), decay, seed)[:height, :width] for seed in seeds])
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    foggy = images + amount * torch.from_numpy(clouds)[:, None].to(images.device)
    return foggy * brightest / (brightest + amount)


def _clouds(side_px: int, decay: float, seed: int) -> np.ndarray:
    """float32 (n, n) in [0, 1], n the next power of 2: a random fractal by the diamond-square algorithm.

    Midpoints get the mean of their neighbours and a random amount, which decreases with the distance. The result is
    periodic.
    """
    generator, side = np.random.default_rng(seed), 2 ** math.ceil(math.log2(side_px))
    heights, step, range_ = np.zeros((side, side)), side, 100.0
    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, 0)
        centres = (pairs + np.roll(pairs, -1, 1)) / 4
        heights[half::step, half::step] = centres = centres + range_ * generator.uniform(-range_, range_, centres.shape)
        for along, target in ((0, heights[half::step, ::step]), (1, heights[::step, half::step])):
            ends = corners + np.roll(corners, -1, along) + centres + np.roll(centres, 1, 1 - along)
            target[:] = ends / 4 + range_ * generator.uniform(-range_, range_, ends.shape)
        step, range_ = half, range_ / decay
    heights -= heights.min()
    return (heights / heights.max()).astype(np.float32)
