"""Digital corruptions. Lengths in px are for a side of 224 px, or for small images; see `lengths.scaled`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy.fft import dctn, idctn
from torch.nn import functional as F

from gensis.augment.colour import jitter_stain
from gensis.augment.corruptions.corruption import Severities, five
from gensis.augment.corruptions.lengths import scaled
from gensis.images.codec import decode, encode_jpeg
from gensis.ranges import from_unit, to_bytes, to_nchw, to_nhwc, to_unit


@dataclass(frozen=True)
class Brightness:
    """Add to the value of HSV; hue and saturation do not change."""

    added: float
    """In [0, 1]."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        value = images.amax(dim=1, keepdim=True)
        brighter = (value + self.added).clamp(max=1)
        return torch.where(value > 0, images * brighter / value.clamp(min=1e-6), brighter)


BRIGHTNESS = Severities(
    large=five(Brightness, added=(0.1, 0.2, 0.3, 0.4, 0.5)),
    small=five(Brightness, added=(0.05, 0.1, 0.15, 0.2, 0.3)),
)


@dataclass(frozen=True)
class Contrast:
    """Scale the difference to the mean of each channel."""

    factor: float

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        mean = images.mean(dim=(2, 3), keepdim=True)
        return (images - mean) * self.factor + mean


CONTRAST = Severities(
    large=five(Contrast, factor=(0.4, 0.3, 0.2, 0.1, 0.05)),
    small=five(Contrast, factor=(0.75, 0.5, 0.4, 0.3, 0.15)),
)


@dataclass(frozen=True)
class Pixelate:
    """Shrink, and enlarge again."""

    fraction: float
    """Of the side."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        height, width = images.shape[2:]
        small = max(1, int(width * self.fraction)), max(1, int(height * self.fraction))

        def enlarged(image: np.ndarray) -> np.ndarray:
            shrunk = Image.fromarray(image).resize(small, Image.Resampling.BOX)
            return np.asarray(shrunk.resize((width, height), Image.Resampling.BOX))

        return _each(images, enlarged)


PIXELATE = Severities(
    large=five(Pixelate, fraction=(0.6, 0.5, 0.4, 0.3, 0.25)),
    small=five(Pixelate, fraction=(0.95, 0.9, 0.85, 0.75, 0.65)),
)


@dataclass(frozen=True)
class Elastic:
    """Elastic deformation: a random affine map and smooth random displacements."""

    amount_px: float
    """Scale of the displacements, before they are smoothed."""
    sigma_px: float
    """Of the Gaussian that smooths the displacements."""
    moved_px: float
    """Largest shift of the three points that define the affine map."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        # Scaled twice, because a smaller Gaussian attenuates the noise less.
        amount_px = scaled(scaled(self.amount_px, images), images)
        sigma_px, moved_px = scaled(self.sigma_px, images), scaled(self.moved_px, images)
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


ELASTIC = Severities(
    large=five(
        Elastic,
        amount_px=(488, 488, 12.2, 17.08, 29.28),
        sigma_px=(170.8, 19.52, 2.44, 2.44, 2.44),
        moved_px=(24.4, 48.8, 4.88, 4.88, 4.88),
    ),
    small=five(
        Elastic,
        amount_px=(0, 1.6, 2.56, 3.2, 3.2),
        sigma_px=(0, 6.4, 1.92, 1.28, 0.96),
        moved_px=(2.56, 2.24, 1.92, 1.6, 0.96),
    ),
)


def _smoothed(noise: np.ndarray, sigma_px: float) -> np.ndarray:
    """Planes (n, H, W) smoothed by a Gaussian with mirrored edges; exact, and equally fast for any sigma."""
    frequencies = (np.pi * np.arange(side) / side for side in noise.shape[1:])
    passed = np.multiply.outer(*(np.exp(-0.5 * (sigma_px * each) ** 2) for each in frequencies))
    return idctn(dctn(noise, axes=(1, 2)) * passed, axes=(1, 2))


@dataclass(frozen=True)
class Jpeg:
    """Encode as JPEG, and decode."""

    quality: int

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        return _each(images, lambda image: decode(encode_jpeg(image, self.quality, "420")))


JPEG = Severities(
    large=five(Jpeg, quality=(25, 18, 15, 10, 7)),
    small=five(Jpeg, quality=(80, 65, 58, 50, 40)),
)


def _each(images: torch.Tensor, function: Callable[[np.ndarray], np.ndarray]) -> torch.Tensor:
    """Corrupt images one by one, as uint8 (H, W, 3)."""
    pixels = to_nhwc(to_bytes(from_unit(images))).cpu().numpy()
    corrupted = np.stack([function(np.ascontiguousarray(image)) for image in pixels])
    return to_unit(to_nchw(torch.from_numpy(corrupted).to(images.device)))


@dataclass(frozen=True)
class Stain:
    """Scale and shift each stain by exactly this amount, with random signs; see `jitter_stain`."""

    amount: float

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See Corruption."""
        signs = np.stack([np.random.default_rng(seed).choice((-1.0, 1.0), (2, 3)) for seed in seeds])
        factor, shift = torch.from_numpy(signs.astype(np.float32)).to(images.device).unbind(dim=1)
        return jitter_stain(images, 1 + self.amount * factor, self.amount * shift)


_STAINS = five(Stain, amount=(0.05, 0.1, 0.15, 0.2, 0.25))
STAIN = Severities(large=_STAINS, small=_STAINS)
