"""Size of the networks of a study, read from names and keys: planning imports no torch."""

import re

from gensis.settings.diffusion import Channels
from gensis.settings.pretraining import Pretraining

WIDTHS = {"tiny": 192, "small": 384, "base": 768, "large": 1024, "huge": 1280, "giant": 1536}
"""Values of a token of a vision transformer, by the size in its name (Dosovitskiy 2021, Touvron 2021)."""
DEPTHS = {"large": 24, "huge": 32, "giant": 40}
"""Blocks of the transformers that do not have 12."""
RESNET_WIDTHS = {"resnet18": 512, "resnet34": 512}
WIDEST = 2048
"""Embedding dimension of any other network: that of ResNet-50, which most do not exceed."""
PIXELS_WIDTH = 768
"""Of raw pixels at 16 px."""
FLOATS_PER_TOKEN = 20
"""Values that a block keeps of each value of a token until the backward pass: inputs of norms and matrix products."""
FLOATS_PER_CHANNEL = 12
"""Values that a residual block of a UNet keeps of each value of its output."""


def embedding_width(backbone: str, arguments: dict) -> int:
    """Values of an embedding, of a name that timm knows and the arguments of the network."""
    if "embed_dim" in arguments:
        return arguments["embed_dim"]
    if "channels" in arguments:
        return arguments["channels"][-1]
    size = re.search(r"_(tiny|small|base|large|huge|giant)(?=_|$)", backbone)
    family = backbone.partition("_")[0].partition(".")[0]
    return WIDTHS[size[1]] if size and "vit" in backbone else RESNET_WIDTHS.get(family, WIDEST)


def activation_bytes(settings: Pretraining) -> int:
    """Memory of the activations of a batch in training, on a device that takes the batch at once.

    A convnet is taken to need as much as a transformer with 12 blocks and patches of 16 px (4 px below 64 px).
    """
    size = re.search(r"_(tiny|small|base|large|huge|giant)(?=_|$)", settings.backbone)
    depth = settings.backbone_args.get("depth", DEPTHS.get(size[1], 12) if size else 12)
    named = re.search(r"patch(\d+)", settings.backbone)
    patch_px = settings.backbone_args.get("patch_size") or (int(named[1]) if named else 16)
    patch_px = patch_px if named or settings.image_px >= 64 else 4
    local_px = settings.image_px * 3 / 7 if settings.views.local_px == "auto" else settings.views.local_px
    tokens = 2 * (settings.image_px / patch_px) ** 2 + settings.views.local_crops * (local_px / patch_px) ** 2
    width = min(embedding_width(settings.backbone, settings.backbone_args), WIDTHS["giant"])
    parts = settings.gradient_accumulation if isinstance(settings.gradient_accumulation, int) else 1
    value_bytes = 2 if settings.precision == "bfloat16" else 4
    return round(settings.batch_size / parts * tokens * width * depth * FLOATS_PER_TOKEN * value_bytes)


def unet_activation_bytes(channels: Channels, layers: int, side: int, batch_size: int) -> int:
    """Memory of the activations of a UNet in training, at ``side`` x ``side`` inputs, in float32."""
    values = sum(width * (side / 2**level) ** 2 for level, width in enumerate(channels))
    return round(batch_size * values * (2 * layers + 1) * FLOATS_PER_CHANNEL * 4)
