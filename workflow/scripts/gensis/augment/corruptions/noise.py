"""Noise corruptions. All functions take float32 (B, 3, H, W) in [0, 1], a severity and a seed per image."""

from collections.abc import Sequence

import numpy as np
import torch


def noise(images: torch.Tensor, deviation: float, seeds: Sequence[int]) -> torch.Tensor:
    """Add Gaussian noise."""
    shape = images.shape[1:]
    drawn = [np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in seeds]
    return images + deviation * torch.from_numpy(np.stack(drawn)).to(images.device)


def shot(images: torch.Tensor, photons: float, seeds: Sequence[int]) -> torch.Tensor:
    """Poisson noise, where white is this number of photons."""
    pairs = zip(images.cpu().double().numpy(), seeds)
    counted = np.stack([np.random.default_rng(seed).poisson(image * photons) for image, seed in pairs])
    return torch.from_numpy((counted / photons).astype(np.float32)).to(images.device)


def impulse(images: torch.Tensor, part: float, seeds: Sequence[int]) -> torch.Tensor:
    """Set this fraction of the values to 0 or 1."""
    drawn = [np.random.default_rng(seed).random(images.shape[1:], np.float32) for seed in seeds]
    drawn = torch.from_numpy(np.stack(drawn)).to(images.device)
    return torch.where(drawn < part, (drawn < part / 2).float(), images)
