"""Noise corruptions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gensis.augment.corruptions.corruption import Severities, five


@dataclass(frozen=True)
class GaussianNoise:
    """Add Gaussian noise."""

    deviation: float
    """Standard deviation, where white is 1."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        shape = images.shape[1:]
        drawn = [np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in seeds]
        return images + self.deviation * torch.from_numpy(np.stack(drawn)).to(images.device)


GAUSSIAN_NOISE = Severities(
    large=five(GaussianNoise, deviation=(0.08, 0.12, 0.18, 0.26, 0.38)),
    small=five(GaussianNoise, deviation=(0.04, 0.06, 0.08, 0.09, 0.1)),
)


@dataclass(frozen=True)
class ShotNoise:
    """Poisson noise."""

    photons: float
    """Number of photons of a white value."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        pairs = zip(images.cpu().double().numpy(), seeds)
        counted = np.stack([np.random.default_rng(seed).poisson(image * self.photons) for image, seed in pairs])
        return torch.from_numpy((counted / self.photons).astype(np.float32)).to(images.device)


SHOT_NOISE = Severities(
    large=five(ShotNoise, photons=(60, 25, 12, 5, 3)),
    small=five(ShotNoise, photons=(500, 250, 100, 75, 50)),
)


@dataclass(frozen=True)
class ImpulseNoise:
    """Set some values to 0 or 1."""

    fraction: float
    """Fraction of the values that are set."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        drawn = [np.random.default_rng(seed).random(images.shape[1:], np.float32) for seed in seeds]
        drawn = torch.from_numpy(np.stack(drawn)).to(images.device)
        return torch.where(drawn < self.fraction, (drawn < self.fraction / 2).float(), images)


IMPULSE_NOISE = Severities(
    large=five(ImpulseNoise, fraction=(0.03, 0.06, 0.09, 0.17, 0.27)),
    small=five(ImpulseNoise, fraction=(0.01, 0.02, 0.03, 0.05, 0.07)),
)
