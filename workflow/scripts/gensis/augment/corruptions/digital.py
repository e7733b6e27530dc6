"""Digital corruptions. All functions take float32 (B, 3, H, W) in [0, 1], a severity and a seed per image."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from scipy.fft import dctn, idctn
from torch.nn import functional as F

from gensis.augment.colour import jitter_stain
from gensis.augment.corruptions.lengths import scaled
from gensis.images.codec import decode, encode_jpeg
from gensis.images.ranges import from_unit, to_bytes, to_nchw, to_nhwc, to_unit


def brightness(images: torch.Tensor, added: float, seeds: Sequence[int]) -> torch.Tensor:
    """Add to the value of HSV; hue and saturation do not change."""
    value = images.amax(dim=1, keepdim=True)
    brighter = (value + added).clamp(max=1)
    return torch.where(value > 0, images * brighter / value.clamp(min=1e-6), brighter)


def contrast(images: torch.Tensor, factor: float, seeds: Sequence[int]) -> torch.Tensor:
    """Scale the difference to the mean of each channel."""
    mean = images.mean(dim=(2, 3), keepdim=True)
    return (images - mean) * factor + mean


def pixelate(images: torch.Tensor, part: float, seeds: Sequence[int]) -> torch.Tensor:
    """Shrink to this fraction of the side, and enlarge again."""
    height, width = images.shape[2:]
    small = max(1, int(width * part)), max(1, int(height * part))

    def enlarged(image: np.ndarray) -> np.ndarray:
        shrunk = Image.fromarray(image).resize(small, Image.Resampling.BOX)
        return np.asarray(shrunk.resize((width, height), Image.Resampling.BOX))

    return _each(images, enlarged)


def elastic(images: torch.Tensor, stretch: tuple[float, float, float], seeds: Sequence[int]) -> torch.Tensor:
    """Elastic deformation: a random affine map and smooth random displacements.

    Args:
        images: float32 (B, 3, H, W).
        stretch: amount and sigma of the displacements, and largest shift of the three points that define the affine
            map; in px.
        seeds: one per image.
    """
    amount_px, sigma_px, moved_px = (scaled(length_px, images) for length_px in stretch)
    amount_px = scaled(amount_px, images)  # scaled twice, because a smaller Gaussian attenuates the noise less
    height, width = images.shape[2:]
    last = np.array([width - 1, height - 1])
    third = min(height, width) // 3
    corners = np.array([width // 2, height // 2]) + third * np.array([[1, 1], [1, -1], [-1, -1]])
    grids = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        moved = corners + generator.uniform(-moved_px, moved_px, corners.shape)
        back = np.linalg.solve(np.column_stack([moved, np.ones(3)]), corners)  # (3, 2)
        noise = generator.uniform(-1, 1, (2, height, width))
        places = np.mgrid[:height, :width] + amount_px * _smoothed(noise, sigma_px)
        found = np.stack([places[1], places[0], np.ones_like(places[0])], axis=-1) @ back
        grids.append(2 * found / last - 1)
    grid = torch.from_numpy(np.stack(grids).astype(np.float32)).to(images.device)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)


def _smoothed(noise: np.ndarray, sigma_px: float) -> np.ndarray:
    """Planes (n, H, W) smoothed by a Gaussian with mirrored edges; exact, and equally fast for any sigma."""
    frequencies = (np.pi * np.arange(side) / side for side in noise.shape[1:])
    passed = np.multiply.outer(*(np.exp(-0.5 * (sigma_px * each) ** 2) for each in frequencies))
    return idctn(dctn(noise, axes=(1, 2)) * passed, axes=(1, 2))


def jpeg(images: torch.Tensor, quality: int, seeds: Sequence[int]) -> torch.Tensor:
    """Encode as JPEG of this quality, and decode."""
    return _each(images, lambda image: decode(encode_jpeg(image, quality, "420")))


def _each(images: torch.Tensor, function: Callable[[np.ndarray], np.ndarray]) -> torch.Tensor:
    """Corrupt images one by one, as uint8 (H, W, 3)."""
    pixels = to_nhwc(to_bytes(from_unit(images))).cpu().numpy()
    corrupted = np.stack([function(np.ascontiguousarray(image)) for image in pixels])
    return to_unit(to_nchw(torch.from_numpy(corrupted).to(images.device)))


def stain(images: torch.Tensor, amount: float, seeds: Sequence[int]) -> torch.Tensor:
    """Scale and shift each stain by exactly this amount, with random signs; see `jitter_stain`."""
    signs = np.stack([np.random.default_rng(seed).choice((-1.0, 1.0), (2, 3)) for seed in seeds])
    factor, shift = torch.from_numpy(signs.astype(np.float32)).to(images.device).unbind(dim=1)
    return jitter_stain(images, 1 + amount * factor, amount * shift)
