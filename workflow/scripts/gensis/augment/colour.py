"""Colour, blur and solarisation of a whole batch, each image with its own parameters."""

import torch
from torch.nn import functional as F

BLUR_SIGMA_PX = (0.1, 2.0)
LUMA = (0.299, 0.587, 0.114)
# RGB to YIQ: hue is a rotation of the I-Q plane.
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def colour_matrices(brightness: torch.Tensor, saturation: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Brightness, saturation and hue as one linear map of RGB.

    Args:
        brightness: (B,) factor, 1 leaves as is.
        saturation: (B,) factor, 0 is grey, 1 leaves as is.
        hue: (B,) shift as a part of the full circle, 0 leaves as is.

    Returns:
        float32 (B, 3, 3), to be applied to column vectors.
    """
    device = brightness.device
    luma = torch.tensor(LUMA, device=device)
    grey = luma.expand(3, 3)
    saturate = saturation.view(-1, 1, 1) * torch.eye(3, device=device) + (1 - saturation).view(-1, 1, 1) * grey
    to_yiq = torch.tensor(YIQ, device=device)
    turn = torch.zeros(len(hue), 3, 3, device=device)
    angle = 2 * torch.pi * hue
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -angle.sin(), angle.sin()
    rotate = torch.linalg.inv(to_yiq) @ turn @ to_yiq
    return brightness.view(-1, 1, 1) * (rotate @ saturate)


def recolour(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Apply (B, 3, 3) matrices to float (B, 3, H, W) in [0, 1], clipped."""
    return torch.matmul(matrices, images.flatten(2)).view_as(images).clamp(0, 1)


def adjust_contrast(images: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Blend float (B, 3, H, W) in [0, 1] with their mean grey by (B,) factors, clipped."""
    luma = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    mean = (images * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    factor = contrast.view(-1, 1, 1, 1)
    return (factor * images + (1 - factor) * mean).clamp(0, 1)


def gaussian_blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur float (B, 3, H, W) with a Gaussian of (B,) sigma in pixels, at most BLUR_SIGMA_PX[1], edges reflected."""
    count, channels, height, width = images.shape
    # A fixed radius: reading the largest sigma off the device would stall it.
    radius = min(round(3 * BLUR_SIGMA_PX[1]), height - 1, width - 1)
    offset = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (offset / sigma.view(-1, 1)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = images.reshape(1, count * channels, height, width)
    planes = F.pad(planes, (radius,) * 4, mode="reflect")
    planes = F.conv2d(planes, kernel.view(-1, 1, 1, 2 * radius + 1), groups=count * channels)
    planes = F.conv2d(planes, kernel.view(-1, 1, 2 * radius + 1, 1), groups=count * channels)
    return planes.view_as(images)


def solarize(images: torch.Tensor) -> torch.Tensor:
    """Invert what is at least half bright: float in [0, 1]."""
    return torch.where(images >= 0.5, 1 - images, images)
