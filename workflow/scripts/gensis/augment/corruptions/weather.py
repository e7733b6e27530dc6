"""Weather corruptions. Lengths in px are for a side of 224 px, or for small images; see `lengths.scaled`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gensis.augment.corruptions.blur import Motion, enlarged
from gensis.augment.corruptions.corruption import Severities, five
from gensis.augment.corruptions.lengths import scaled


@dataclass(frozen=True, kw_only=True)
class Snow:
    """Add falling snowflakes and whiten the image.

    Flakes are noise above a threshold, blurred along steep lines.
    """

    noise_mean: float
    noise_deviation: float
    size_px: float
    """Size of the flakes."""
    threshold: float
    """Lowest noise of a flake."""
    motion_radius_px: float
    motion_sigma_px: float
    kept: float
    """Weight of the original image against the whitened one."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        generators = [np.random.default_rng(seed) for seed in seeds]
        shape = images.shape[2:]
        noise = np.stack([each.normal(self.noise_mean, self.noise_deviation, shape) for each in generators])[:, None]
        flakes = torch.from_numpy(noise.astype(np.float32)).to(images.device)
        flakes = enlarged(flakes, max(1, scaled(self.size_px, images)))
        flakes = torch.where(flakes < self.threshold, 0, flakes).clamp(max=1)
        angles = [each.uniform(np.pi / 4, 3 * np.pi / 4) for each in generators]
        flakes = Motion(self.motion_radius_px, self.motion_sigma_px).along(flakes, angles)
        grey = (images * images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
        whitened = self.kept * images + (1 - self.kept) * torch.maximum(images, 1.5 * grey + 0.5)
        return whitened + flakes + flakes.flip(2, 3)


SNOW = Severities(
    large=five(
        Snow,
        noise_mean=(0.1, 0.2, 0.55, 0.55, 0.55),
        noise_deviation=(0.3, 0.3, 0.3, 0.3, 0.3),
        size_px=(3, 2, 4, 4.5, 2.5),
        threshold=(0.5, 0.5, 0.9, 0.85, 0.85),
        motion_radius_px=(10, 12, 12, 12, 12),
        motion_sigma_px=(4, 4, 8, 8, 12),
        kept=(0.8, 0.7, 0.7, 0.65, 0.55),
    ),
    small=five(
        Snow,
        noise_mean=(0.1, 0.1, 0.15, 0.25, 0.3),
        noise_deviation=(0.2, 0.2, 0.3, 0.3, 0.3),
        size_px=(1, 1, 1.75, 2.25, 1.25),
        threshold=(0.6, 0.5, 0.55, 0.6, 0.65),
        motion_radius_px=(8, 10, 10, 12, 14),
        motion_sigma_px=(3, 4, 4, 6, 12),
        kept=(0.95, 0.9, 0.9, 0.85, 0.8),
    ),
)


@dataclass(frozen=True)
class Fog:
    """Add clouds; the largest value does not change."""

    amount: float
    """Largest value that is added, where white is 1."""
    roughness_decay: float
    """Factor by which the amplitude of the clouds decreases with each halving of the distance."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        height, width = images.shape[2:]
        side = max(height, width)
        clouds = np.stack([_clouds(side, self.roughness_decay, seed)[:height, :width] for seed in seeds])
        brightest = images.amax(dim=(1, 2, 3), keepdim=True)
        foggy = images + self.amount * torch.from_numpy(clouds)[:, None].to(images.device)
        return foggy * brightest / (brightest + self.amount)


FOG = Severities(
    large=five(Fog, amount=(1.5, 2, 2.5, 2.5, 3), roughness_decay=(2, 2, 1.7, 1.5, 1.4)),
    small=five(Fog, amount=(0.2, 0.5, 0.75, 1, 1.5), roughness_decay=(3, 3, 2.5, 2, 1.75)),
)


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
