"""Embeddings and patch tokens of images of any size, which are not resized."""

import torch
from timm.layers import Format
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from gensis.errors import UserError
from gensis.ssl.backbone import Encoder, tokens_of


class AnySize(nn.Module):
    """An encoder of images of any height and width.

    What does not divide into patches is cut off at the bottom and on the right. timm resamples the position embeddings
    of a transformer, bicubic with antialiasing.
    """

    def __init__(self, encoder: Encoder):
        """Take an encoder of one size. A transformer's backbone is told to take others too, with the same results."""
        super().__init__()
        self.encoder = encoder
        backbone = encoder.backbone
        if isinstance(backbone, VisionTransformer) and not backbone.dynamic_img_size:
            backbone.dynamic_img_size, patches = True, backbone.patch_embed
            patches.strict_img_size, patches.flatten, patches.output_fmt = False, False, Format.NHWC

    @property
    def patch_px(self) -> int:
        """Side of a patch in pixels; 1 for networks without patches."""
        return getattr(getattr(self.encoder.backbone, "patch_embed", None), "patch_size", (1,))[0]

    @torch.inference_mode()
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings float32 (B, D) and patch tokens (B, h, w, D) of (B, 3, H, W) in 0 to 255, uint8 or float32.

        Raises:
            UserError: the backbone takes only images of one size, or has no patch tokens.
        """
        height, width = (side // self.patch_px * self.patch_px for side in images.shape[2:])
        preprocess = self.encoder.preprocess
        pixels = torch.addcmul(preprocess.shift, images[:, :, :height, :width].float(), preprocess.scale)
        try:
            return tokens_of(self.encoder.backbone, pixels)
        except AssertionError as error:  # timm's check of the size
            name = type(self.encoder.backbone).__name__
            raise UserError(f"{name} takes no images of {width} x {height} px: {error}") from error
