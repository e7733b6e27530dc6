"""Preprocessing of an encoder's images: resize, crop and normalise as in timm's configuration of the model."""

import math
from dataclasses import KW_ONLY, dataclass

import torch
from torch import nn
from torch.nn import functional as F

from gensis.errors import UserError

INTERPOLATIONS = ("bicubic", "bilinear")
CROP_MODES = ("squash", "center")


@dataclass(frozen=True)
class Preprocessing:
    """Values as in timm's `pretrained_cfg`. The defaults resize the whole image to the input size."""

    size_px: tuple[int, int]
    """Height and width of the input."""
    mean: tuple[float, ...]
    """Mean of R, G, B in [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation of R, G, B in [0, 1]."""
    _: KW_ONLY
    interpolation: str = "bicubic"
    crop_pct: float = 1.0
    """Fraction of the resized side that the central crop keeps."""
    crop_mode: str = "squash"
    """`squash`: resize both sides and change the aspect ratio. `center`: resize the shorter side and keep it."""

    def resized_px(self, height: int, width: int) -> tuple[int, int]:
        """Height and width to which an image is resized before the central crop."""
        high, wide = (math.floor(side / self.crop_pct) for side in self.size_px)
        if self.crop_mode == "squash":
            return high, wide
        if height * wide <= width * high:  # in integers: height / (height / high) can lie below high
            return high, width * high // height
        return height * wide // width, wide


class Preprocess(nn.Module):
    """Preprocessing of a batch on its own device."""

    def __init__(self, values: Preprocessing):
        """Prepare for the values.

        Raises:
            UserError: their interpolation or crop mode is not supported.
        """
        super().__init__()
        if values.interpolation not in INTERPOLATIONS or values.crop_mode not in CROP_MODES:
            raise UserError(
                f"the encoder has interpolation {values.interpolation} and crop_mode {values.crop_mode}: only "
                f"{', '.join(INTERPOLATIONS)} and {', '.join(CROP_MODES)} are supported: change them in its config.json"
            )
        self.values = values
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (values.mean, values.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 (B, 3, *size_px) of uint8 (B, 3, H, W)."""
        size = self.values.resized_px(*images.shape[2:])
        if size != images.shape[2:]:
            # On the CPU the 8-bit resize is the fastest; other devices have none.
            pixels = images if images.device.type == "cpu" else images.float()
            resized = F.interpolate(pixels, size, mode=self.values.interpolation, antialias=True)
            images = resized.clamp(0, 255)
        (height, width), top, left = self.values.size_px, *self._corner(size)
        return torch.addcmul(self.shift, images[:, :, top : top + height, left : left + width].float(), self.scale)

    def _corner(self, size: tuple[int, int]) -> tuple[int, int]:
        """Top and left of the central crop, rounded as in torchvision."""
        top, left = (round((side - cropped) / 2) for side, cropped in zip(size, self.values.size_px))
        return top, left
