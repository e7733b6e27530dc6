"""Value ranges and axis orders of image tensors, and the only conversions between them.

| range | dtype | where |
|---|---|---|
| bytes, 0 to 255 | uint8 | stores, batches, banks |
| [0, 255] | float | images that were resized |
| [0, 1] | float | views, corruptions |
| [-1, 1] | float | diffusion models and their autoencoders |

Decoded and encoded images are NHWC; tensors for networks are NCHW. `gensis.diffusion.pipeline` has conversions of its
own, since a copy of it leaves with every saved model.
"""

import torch


def to_nchw(images: torch.Tensor) -> torch.Tensor:
    """(B, H, W, C) as (B, C, H, W), without a copy."""
    return images.permute(0, 3, 1, 2)


def to_nhwc(images: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) as (B, H, W, C), without a copy."""
    return images.permute(0, 2, 3, 1)


def to_unit(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 or float in [0, 255] to float in [0, 1]; uint8 becomes float32."""
    return pixels / 255


def from_unit(values: torch.Tensor) -> torch.Tensor:
    """Float in [0, 1] to float in [0, 255]."""
    return values * 255


def to_signed(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 or float in [0, 255] to float in [-1, 1]; uint8 becomes float32."""
    return pixels / 127.5 - 1


def from_signed(values: torch.Tensor) -> torch.Tensor:
    """Float in [-1, 1] to float in [0, 255]."""
    return (values + 1) * 127.5


def to_bytes(pixels: torch.Tensor) -> torch.Tensor:
    """Float in [0, 255] rounded to uint8."""
    return pixels.round().to(torch.uint8)
