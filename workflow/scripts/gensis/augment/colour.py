"""Colour, blur and solarisation of a whole batch, each image with its own parameters."""

from functools import cache
from typing import NamedTuple

import torch
from torch.nn import functional as F

BLUR_SIGMA_PX = (0.1, 2.0)
LUMA = (0.299, 0.587, 0.114)
# RGB to YIQ: hue is a rotation of the I-Q plane.
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
# Optical density in red, green and blue of haematoxylin, eosin and DAB (Ruifrok and Johnston 2001).
HED = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))


class Constants(NamedTuple):
    """Matrices for column vectors of colours, float32."""

    luma: torch.Tensor
    """(3,): weights of red, green and blue in grey."""
    hue_quarter: torch.Tensor
    """(3, 3): removes the grey and rotates the hue by a quarter of the circle."""
    density_of_stains: torch.Tensor
    """(3, 3): stain concentrations to optical density."""
    stains_of_density: torch.Tensor
    """(3, 3): optical density to stain concentrations."""


@cache
def constants(device: torch.device) -> Constants:
    """The constants on a device, cached, because each copy to it would make the host wait."""
    yiq, stains = torch.tensor(YIQ), torch.tensor(HED).T
    quarter = yiq.inverse() @ torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]) @ yiq
    return Constants(*(values.to(device) for values in (torch.tensor(LUMA), quarter, stains, stains.inverse())))


def colour_matrices(brightness: torch.Tensor, saturation: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Brightness, saturation and hue as one linear map of RGB.

    Args:
        brightness: (B,) factor; 1 is no change.
        saturation: (B,) factor; 0 is grey, 1 is no change.
        hue: (B,) shift as a fraction of the full circle; 0 is no change.

    Returns:
        float32 (B, 3, 3), to be applied to column vectors.
    """
    of_device = constants(brightness.device)
    grey = of_device.luma.expand(3, 3)
    chroma = torch.eye(3, device=brightness.device) - grey
    brightness, saturation, angle = (values.view(-1, 1, 1) for values in (brightness, saturation, 2 * torch.pi * hue))
    turned = angle.cos() * chroma + angle.sin() * of_device.hue_quarter
    return brightness * (grey + saturation * turned)


def recolour(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Apply (B, 3, 3) matrices to float (B, 3, H, W) in [0, 1], clipped."""
    return torch.matmul(matrices, images.flatten(2)).view(images.shape).clamp_(0, 1)


def jitter_stain(images: torch.Tensor, factor: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Scale and shift the haematoxylin, the eosin and the rest of each pixel (Tellez et al. 2018, arXiv 1808.05896).

    Stains are additive in optical density, -ln(RGB), where the whole change is one affine map.

    Args:
        images: float (B, 3, H, W) in [0, 1].
        factor: (B, 3) of the concentration of each stain; 1 is no change.
        shift: (B, 3) of the concentration, in units of optical density; 0 is no change.

    Returns:
        float (B, 3, H, W) in [0, 1].
    """
    _, _, density_of_stains, stains_of_density = constants(images.device)
    scale = density_of_stains @ (factor.unsqueeze(2) * stains_of_density)
    offset = (shift @ density_of_stains.T).unsqueeze(2)
    density = images.flatten(2).clamp(min=1 / 255).log_().neg_()
    return torch.baddbmm(offset, scale, density).neg_().exp_().clamp_(max=1).view(images.shape)


def adjust_contrast(images: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Blend float (B, 3, H, W) in [0, 1] with their mean grey by (B,) factors, clipped."""
    mean = images.mean((2, 3)) @ constants(images.device).luma
    rest = (1 - contrast) * mean
    return images.mul(contrast.view(-1, 1, 1, 1)).add_(rest.view(-1, 1, 1, 1)).clamp_(0, 1)


def gaussian_blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur float (B, 3, H, W) with a Gaussian of (B,) sigma in pixels, at most BLUR_SIGMA_PX[1], edges reflected.

    Along each axis, blocks of pixels with their margins are multiplied by a band matrix. This is much faster than a
    grouped convolution, on CPUs and GPUs.
    """
    height, width = images.shape[2:]
    # A fixed radius: reading the largest sigma from the device would wait for it.
    radius = min(round(3 * BLUR_SIGMA_PX[1]), height - 1, width - 1)
    offset = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (offset / sigma.view(-1, 1)) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    tile = _tile_px(height)
    tiles = F.pad(images, (0, 0, radius, radius), mode="reflect").unfold(2, tile + 2 * radius, tile)
    rows = torch.matmul(_bands(kernel, tile)[:, None, None], tiles.transpose(3, 4)).reshape(images.shape)
    tile = _tile_px(width)
    tiles = F.pad(rows, (radius, radius, 0, 0), mode="reflect").unfold(3, tile + 2 * radius, tile)
    return torch.bmm(tiles.reshape(len(images), -1, tiles.shape[-1]), _bands(kernel, tile).mT).view(images.shape)


def _tile_px(side_px: int) -> int:
    """Length of a block, a divisor of the side: short blocks multiply fewer zeros, but very short blocks are slow."""
    return next((length for length in range(16, side_px) if side_px % length == 0), side_px)


def _bands(kernel: torch.Tensor, tile: int) -> torch.Tensor:
    """Kernels (B, K) as matrices (B, tile, tile + K - 1), each row shifted by one against the row above it."""
    count, width = kernel.shape[0], tile + kernel.shape[1] - 1
    # The kernel repeats with a period one entry longer than a row, so each row holds it shifted by one.
    lines = F.pad(kernel, (0, tile)).repeat(1, tile)
    return lines[:, : tile * width].view(count, tile, width)


def solarize(images: torch.Tensor) -> torch.Tensor:
    """Invert values of at least 0.5: float in [0, 1]."""
    return torch.minimum(images, 1 - images)
