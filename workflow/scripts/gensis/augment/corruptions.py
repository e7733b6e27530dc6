"""Damage that an encoder should bear, in five strengths: kinds of ImageNet-C and CIFAR-10-C (Hendrycks and Dietterich
2019, arXiv 1903.12261), with their strengths, and a shift of stain.

Of the fifteen kinds there, glass, elastic, snow and frost are not here; frost needs photographs of it. `blur` is one of
the four beyond the fifteen.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
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


def _shot(images: torch.Tensor, photons: float, seeds: Sequence[int]) -> torch.Tensor:
    """As if white were so many photons."""
    pairs = zip(images.cpu().double().numpy(), seeds)
    counted = np.stack([np.random.default_rng(seed).poisson(image * photons) for image, seed in pairs])
    return torch.from_numpy((counted / photons).astype(np.float32)).to(images.device)


def _impulse(images: torch.Tensor, part: float, seeds: Sequence[int]) -> torch.Tensor:
    """This part of the values becomes 0 or 1."""
    drawn = [np.random.default_rng(seed).random(images.shape[1:], np.float32) for seed in seeds]
    drawn = torch.from_numpy(np.stack(drawn)).to(images.device)
    return torch.where(drawn < part, (drawn < part / 2).float(), images)


def _scaled(length_px: float, images: torch.Tensor) -> float:
    """A length of images of 224 px in images of another size; of small ones, whose strengths are their own, itself."""
    side_px = min(images.shape[2:])
    return length_px if side_px < _SMALL_PX else length_px * side_px / _LARGE_PX


def _blur(images: torch.Tensor, sigma_px: float, seeds: Sequence[int]) -> torch.Tensor:
    sigma_px = _scaled(sigma_px, images)
    return gaussian_blur(images, 2 * int(np.ceil(4 * sigma_px)) + 1, sigma_px)


def _defocus(images: torch.Tensor, lens: tuple[float, float], seeds: Sequence[int]) -> torch.Tensor:
    """Out of focus: averaged over a disc, whose radius and soft edge (a sigma) are lengths in px."""
    wide = 3 if lens[0] <= 8 else 5
    radius_px, edge_px = (_scaled(length_px, images) for length_px in lens)
    half = math.ceil(radius_px) + wide - 1  # what the edge is softened from is 0 beyond it
    places = torch.arange(-half, half + 1, device=images.device, dtype=torch.float32)
    disc = (places[:, None].square() + places.square() <= radius_px**2).float()
    disc = gaussian_blur(disc[None] / disc.sum(), wide, edge_px)
    kernel = disc.expand(3, 1, *disc.shape[1:])
    return F.conv2d(F.pad(images, [half] * 4, mode="reflect"), kernel, groups=3)


def _motion(images: torch.Tensor, path: tuple[float, float], seeds: Sequence[int]) -> torch.Tensor:
    """Drawn along a line, up to 45 degrees from the horizontal, that fades with this sigma after twice the radius."""
    radius_px, sigma_px = (_scaled(length_px, images) for length_px in path)
    steps = 2 * round(radius_px) + 1
    weights = np.exp(-0.5 * (np.arange(steps) / sigma_px) ** 2)
    padded = F.pad(images, [steps] * 4, mode="replicate")
    height, width = images.shape[2:]
    moved = []
    for image, seed in zip(padded, seeds):
        angle = np.random.default_rng(seed).uniform(-np.pi / 4, np.pi / 4)
        across, down = (np.rint(np.arange(steps) * part).astype(int) for part in (np.cos(angle), np.sin(angle)))
        along = (image[:, steps + y :, steps + x :][:, :height, :width] for x, y in zip(across, down))
        moved.append(sum(weight * part for weight, part in zip(weights / weights.sum(), along)))
    return torch.stack(moved).to(images.dtype)


def _zoom(images: torch.Tensor, enlarged: tuple[float, float], seeds: Sequence[int]) -> torch.Tensor:
    """The mean of the image and its enlargements about its centre, up to below a factor and by steps of another."""
    below, step = enlarged
    factors = np.arange(1, below, step)
    total = images.clone()
    for factor in factors:
        theta = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]], device=images.device, dtype=images.dtype)
        grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
        total += F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return total / (len(factors) + 1)


def _fog(images: torch.Tensor, fog: tuple[float, float], seeds: Sequence[int]) -> torch.Tensor:
    """Clouds added; the brightest place stays as bright."""
    amount, decay = fog
    height, width = images.shape[2:]
    clouds = np.stack([_clouds(max(height, width), decay, seed)[:height, :width] for seed in seeds])
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    foggy = images + amount * torch.from_numpy(clouds)[:, None].to(images.device)
    return foggy * brightest / (brightest + amount)


def _clouds(side_px: int, decay: float, seed: int) -> np.ndarray:
    """float32 (n, n) in [0, 1], n the next power of 2: a random fractal by the diamond-square algorithm.

    The points between known ones get their mean and an amount that is drawn; the smaller the distance, the smaller it
    is. The plane's edges meet.
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


Damage = Callable[[torch.Tensor, Any, Sequence[int]], torch.Tensor]
Strengths = tuple[Any, Any, Any, Any, Any]
CORRUPTIONS: dict[str, tuple[Damage, Strengths, Strengths]] = {
    "noise": (_noise, (0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.1)),
    "shot": (_shot, (60, 25, 12, 5, 3), (500, 250, 100, 75, 50)),
    "impulse": (_impulse, (0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus": (
        _defocus,
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ),
    "motion": (
        _motion,
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    ),
    "zoom": (
        _zoom,
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    ),
    "fog": (
        _fog,
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    ),
    "blur": (_blur, (1, 2, 3, 4, 6), (0.4, 0.6, 0.7, 0.8, 1)),
    "jpeg": (_jpeg, (25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
    "pixelate": (_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65)),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
    "stain": (_stain, *[(0.05, 0.1, 0.15, 0.2, 0.25)] * 2),
}
"""Kind -> how, and its strengths for large and for small images: a standard deviation, sigma in px of a side of 224 or
32 px, a quality, a part of the side, ..."""
