"""Perceptual distance of images, computed with an encoder. It penalises blurred reconstructions."""

import torch
from torch import nn
from torch.nn import functional as F

from gensis.ssl.backbone import Encoder

DEPTHS = 4


class PerceptualDistance(nn.Module):
    """Distance of feature maps, like LPIPS (Zhang et al. 2018, arXiv 1801.03924) without its learned weights.

    At evenly spaced depths of the backbone, the channels of each position are normalised to unit length. The squared
    distance of two images is summed over channels and averaged over positions and depths. It is in [0, 4].
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.preprocess, self.backbone = encoder.preprocess, encoder.backbone
        depth = len(self.backbone.feature_info)
        count = min(DEPTHS, depth)
        self.depths = [depth * (number + 1) // count - 1 for number in range(count)]

    def forward(self, images: torch.Tensor, originals: torch.Tensor) -> torch.Tensor:
        """float32 (), mean over a batch of float32 (B, 3, H, W) in [0, 255]; only ``images`` gets a gradient."""
        with torch.no_grad():
            targets = self._features(originals)
        distances = [(one - other).square().sum(1).mean() for one, other in zip(self._features(images), targets)]
        return torch.stack(distances).mean()

    def _features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """float32 (B, C, h, w) at each depth, of unit length over C."""
        maps = self.backbone.forward_intermediates(
            self.preprocess(images), indices=self.depths, output_fmt="NCHW", intermediates_only=True
        )
        return [F.normalize(each.float(), dim=1) for each in maps]
