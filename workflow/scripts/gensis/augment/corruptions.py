"""Damage that an encoder should bear, in five strengths: kinds of ImageNet-C and CIFAR-10-C (Hendrycks and Dietterich
2019, arXiv 1903.12261), with their strengths, and a shift of stain.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2.functional import gaussian_blur

from gensis.augment.colour import jitter_stain
from gensis.images.codec import decode, encode_jpeg

_SMALL_PX = 64
"""Images below are damaged as in CIFAR-10-C, for 32 px; others as in ImageNet-C, for 224 px."""
_LARGE_PX = 224


def corrupt(images: torch.Tensor, kind: str, strength: int, seeds: Sequence[int]) -> torch.Tensor:
    """Damage a batch; each image's damage is a function of itself, its seed, the kind and the strength.

    Args:
        images: uint8 (B, 3, H, W).
        kind: a key of CORRUPTIONS.
        strength: 1 to 5.
        seeds: one an image.

    Returns:
        uint8 (B, 3, H, W).
    """
    damage, *strengths = CORRUPTIONS[kind]
    is_small = min(images.shape[2:]) < _SMALL_PX
    damaged = damage(images / 255, strengths[is_small][strength - 1], seeds)
    return damaged.clamp(0, 1).mul(255).round().to(torch.uint8)


def _noise(images: torch.Tensor, deviation: float, seeds: Sequence[int]) -> torch.Tensor:
    shape = images.shape[1:]
    drawn = [np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in seeds]
    return images + deviation * torch.from_numpy(np.stack(drawn)).to(images.device)


def _blur(images: torch.Tensor, sigma_px: float, seeds: Sequence[int]) -> torch.Tensor:
    side_px = min(images.shape[2:])
    if side_px >= _SMALL_PX:
        sigma_px *= side_px / _LARGE_PX
    return gaussian_blur(images, 2 * int(np.ceil(4 * sigma_px)) + 1, sigma_px)


def _jpeg(images: torch.Tensor, quality: int, seeds: Sequence[int]) -> torch.Tensor:
    return _each(images, lambda image: decode(encode_jpeg(image, quality, "420")))


def _pixelate(images: torch.Tensor, part: float, seeds: Sequence[int]) -> torch.Tensor:
    height, width = images.shape[2:]
    small = max(1, int(width * part)), max(1, int(height * part))

    def enlarged(image: np.ndarray) -> np.ndarray:
        shrunk = Image.fromarray(image).resize(small, Image.Resampling.BOX)
        return np.asarray(shrunk.resize((width, height), Image.Resampling.BOX))

    return _each(images, enlarged)


def _each(images: torch.Tensor, damage: Callable[[np.ndarray], np.ndarray]) -> torch.Tensor:
    """Damage images one by one, as uint8 (H, W, 3)."""
    pixels = images.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    damaged = np.stack([damage(np.ascontiguousarray(image)) for image in pixels])
    return torch.from_numpy(damaged).to(images.device).permute(0, 3, 1, 2) / 255


def _brightness(images: torch.Tensor, added: float, seeds: Sequence[int]) -> torch.Tensor:
    """Added to the value of HSV; hue and saturation stay."""
    value = images.amax(dim=1, keepdim=True)
    brighter = (value + added).clamp(max=1)
    return torch.where(value > 0, images * brighter / value.clamp(min=1e-6), brighter)


def _contrast(images: torch.Tensor, factor: float, seeds: Sequence[int]) -> torch.Tensor:
    mean = images.mean(dim=(2, 3), keepdim=True)
    return (images - mean) * factor + mean


def _stain(images: torch.Tensor, amount: float, seeds: Sequence[int]) -> torch.Tensor:
    """Each stain more or less by just this factor and density; the seed draws which way."""
    signs = np.stack([np.random.default_rng(seed).choice((-1.0, 1.0), (2, 3)) for seed in seeds])
    factor, shift = torch.from_numpy(signs.astype(np.float32)).to(images.device).unbind(dim=1)
    return jitter_stain(images, 1 + amount * factor, amount * shift)


Damage = Callable[[torch.Tensor, float, Sequence[int]], torch.Tensor]
Strengths = tuple[float, float, float, float, float]
CORRUPTIONS: dict[str, tuple[Damage, Strengths, Strengths]] = {
    "noise": (_noise, (0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.1)),
    "blur": (_blur, (1, 2, 3, 4, 6), (0.4, 0.6, 0.7, 0.8, 1)),
    "jpeg": (_jpeg, (25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
    "pixelate": (_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65)),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
    "stain": (_stain, *[(0.05, 0.1, 0.15, 0.2, 0.25)] * 2),
}
"""Kind -> how, and its strengths for large and for small images: a standard deviation, sigma in px of a side of 224 or
32 px, a quality, a part of the side, ..."""
