"""Size of the networks of a study, read from names and keys: planning imports no torch."""

import functools
import json
import math
import re
from pathlib import Path
from typing import Any

from gensis.settings.diffusion import Channels
from gensis.settings.pretraining import Pretraining
from gensis.settings.study import Study

WIDTHS = {"tiny": 192, "small": 384, "base": 768, "large": 1024, "huge": 1280, "giant": 1536}
"""Values of a token of a vision transformer, by the size in its name (Dosovitskiy 2021, Touvron 2021)."""
DEPTHS = {"large": 24, "huge": 32, "giant": 40}
"""Blocks of the transformers that do not have 12."""
TRANSFORMERS = ("vit", "deit", "beit", "eva", "aimv2")
"""Parts of the names of vision transformers."""
RESNET_WIDTHS = {"resnet18": 512, "resnet34": 512}
IMAGENET_PX = 224
WIDEST = 2048
"""Embedding dimension of any other network: that of ResNet-50, which most do not exceed."""
PIXELS_WIDTH = 768
"""Of raw pixels at 16 px."""
FLOATS_PER_TOKEN = 20
"""Values that a block keeps of each value of a token until the backward pass: inputs of norms and matrix products."""
OF_ATTENTION = {"additive_embedding": 1.2, "cross_attention": 1.9}
"""Weights of a denoiser as a multiple of those of its convolutions; of the paper's with cross-attention 1.83."""
FLOATS_PER_CHANNEL = 12
"""Values that a residual block keeps of each value of its output."""


VIT_S16_MACS = 4.6e9
"""Multiplications of a forward pass of ViT-S/16 at 224 px."""
RESNET18_WITHOUT_STRIDES = 5.9
"""Cost of a pixel of ResNet-18 for images of 32 px, in those of ViT-S/16."""
VIT_S16_GFLOP = 2 * VIT_S16_MACS / 1e9
"""The same pass in 10^9 floating-point operations."""


def embedding_width(backbone: str, arguments: dict[str, Any]) -> int:
    """Values of an embedding, of a name that timm knows and the arguments of the network."""
    family = re.split(r"[_.]", backbone)[0]
    named = WIDTHS[_size(backbone)] if _is_transformer(backbone) else RESNET_WIDTHS.get(family, WIDEST)
    return _number(arguments, "embed_dim", _number(arguments, "channels", named))


def _number(arguments: dict[str, Any], name: str, default: int) -> int:
    """An argument of a network: the last value of a list, and the default if there is no positive number.

    The arguments are timm's and are not checked when they are planned with: an estimate must not end the run.
    """
    value = arguments.get(name)
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    return value if type(value) in (int, float) and 0 < value < math.inf else default


def width_of(study: Study, encoder: str) -> int:
    """Dimension of the embeddings of an encoder of a study, or of one of its baselines."""
    return PIXELS_WIDTH if encoder == "pixels" else embedding_width(*_network(study, encoder)[:2])


def cost_of(study: Study, encoder: str) -> float:
    """Forward pass of an image by an encoder of a study, in those of ViT-S/16 at 224 px; 0 for raw pixels."""
    return 0.0 if encoder == "pixels" else backbone_cost(*_network(study, encoder))


def weights_of(study: Study, encoder: str) -> int:
    """Bytes of the weights of an encoder of a study; 0 for raw pixels."""
    return 0 if encoder == "pixels" else weights_bytes(*_network(study, encoder)[:2])


def _network(study: Study, encoder: str) -> tuple[str, dict[str, Any], int]:
    """Name and arguments of a network, and the side of its images.

    An external encoder is judged by its name, at the size of an image of ImageNet, or by the config.json of its folder.
    """
    if encoder in study.encoders:
        given = study.encoders[encoder]
        return (given.timm, {}, IMAGENET_PX) if given.timm else _described(given.path)
    settings = study.pretraining if encoder == "random" else study.training_settings(encoder)
    return settings.backbone, settings.backbone_args, settings.image_px


@functools.cache  # asked for every job
def _described(folder: str) -> tuple[str, dict[str, Any], int]:
    """The same of a folder in timm's hub layout; no name if it does not say it."""
    try:
        values = json.loads(Path(folder, "config.json").read_text())
        side = values["pretrained_cfg"]["input_size"][-1]
        return str(values["architecture"]), dict(values.get("model_args") or {}), int(side)
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return "", {}, IMAGENET_PX


def _size(backbone: str) -> str:
    found = re.search(r"_(tiny|small|base|large|huge|giant)(?=_|$)", backbone)
    return found[1] if found else ""


def _is_transformer(backbone: str) -> bool:
    return any(family in backbone for family in TRANSFORMERS) and bool(_size(backbone))


def _transformer(backbone: str, arguments: dict[str, Any]) -> tuple[int, int, int]:
    """Width, number of blocks and side of a patch; any other network is taken for a transformer of its image size."""
    named = re.search(r"patch(\d+)", backbone)
    depth = _number(arguments, "depth", DEPTHS.get(_size(backbone), 12))
    width = embedding_width(backbone, arguments) if _is_transformer(backbone) else WIDTHS["small"]
    return width, depth, _number(arguments, "patch_size", int(named[1]) if named else 16)


def backbone_cost(backbone: str, arguments: dict[str, Any], image_px: int) -> float:
    """Forward pass of an image, in those of ViT-S/16 at 224 px.

    Networks that are no transformers are taken to cost as much as ViT-S/16, as ResNet-50 does; those for small images
    (`..._cifar`) as much as ResNet-18 without its first strides.
    """
    if not _is_transformer(backbone):
        narrower = _number(arguments, "channels", 512) / 512
        return (image_px / 224) ** 2 * (RESNET18_WITHOUT_STRIDES * narrower**2 if backbone.endswith("_cifar") else 1)
    width, depth, patch_px = _transformer(backbone, arguments)
    tokens = (image_px / patch_px) ** 2
    return depth * tokens * width * (12 * width + 2 * tokens) / VIT_S16_MACS


def weights_bytes(backbone: str, arguments: dict[str, Any]) -> int:
    """Weights of a backbone in float32: 12 x width^2 values in a block; a network without blocks is taken for ViT-S."""
    width, depth, _ = _transformer(backbone, arguments)
    return 4 * 12 * width**2 * depth


def activation_bytes(settings: Pretraining) -> int:
    """Memory of the activations of a batch in training, on a CPU, which takes a batch in the parts of the config."""
    local_px = settings.image_px * 3 / 7 if settings.views.local_px == "auto" else settings.views.local_px
    sides = [settings.image_px] * 2 + [local_px] * settings.views.local_crops
    floats = sum(_activations(settings.backbone, settings.backbone_args, side) for side in sides)
    parts = settings.gradient_accumulation if isinstance(settings.gradient_accumulation, int) else 1
    value_bytes = 2 if settings.precision == "bfloat16" else 4
    return round(settings.batch_size / parts * floats * value_bytes)


def _activations(backbone: str, arguments: dict[str, Any], side: float) -> float:
    """Values that are kept of a view; a convnet is taken for a ResNet of four levels with two blocks each."""
    width, depth, patch_px = _transformer(backbone, arguments)
    if _is_transformer(backbone):
        return FLOATS_PER_TOKEN * depth * width * (side / patch_px) ** 2
    first = side if backbone.endswith("_cifar") else side / 4
    widest = embedding_width(backbone, arguments)
    return 2 * FLOATS_PER_CHANNEL * sum(widest / 2 ** (3 - level) * (first / 2**level) ** 2 for level in range(4))


def unet_activation_bytes(channels: Channels, layers: int, *, side: int, batch_size: int) -> int:
    """Memory of the activations of a UNet in training, at ``side`` x ``side`` inputs, in float32."""
    values = sum(width * (side / 2**level) ** 2 for level, width in enumerate(channels))
    return round(batch_size * values * (2 * layers + 1) * FLOATS_PER_CHANNEL * 4)


def unet_weights_bytes(channels: Channels, layers: int, denoiser: str) -> int:
    """Weights of a UNet in float32: those of its convolutions (see `unet_cost`), and of attention in proportion."""
    squares = [9 * width**2 for width in channels]  # of a convolution from one to all channels of a level
    with_attention = OF_ATTENTION.get(denoiser, max(OF_ATTENTION.values()))
    return round(4 * with_attention * (_residual_blocks(squares, layers) + sum(squares[:-1]) + sum(squares[1:])))


def _residual_blocks(convolutions: list[float], layers: int) -> float:
    """Cost of the residual blocks of a UNet, by that of a convolution of each level: see `unet_cost`."""
    return (layers + 1.5 * (layers + 1)) * 2 * sum(convolutions) + 4 * convolutions[-1]


def unet_cost(channels: Channels, layers: int, side: int) -> float:
    """Forward pass of a UNet without attention, or of an autoencoder, for an image, in those of ViT-S/16 at 224 px.

    A residual block has two convolutions of 3 x 3. A level has ``layers`` blocks down and one more up, which read twice
    as many channels; the coarsest has two more between them. Levels are joined by a convolution each way.
    """
    sides = [side / 2**level for level in range(len(channels))]
    convolutions = [9 * width**2 * each**2 for width, each in zip(channels, sides)]  # of one to all channels of a level
    resizing = sum(convolutions[:-1]) / 4 + sum(convolutions[1:]) * 4
    return (_residual_blocks(convolutions, layers) + resizing) / VIT_S16_MACS
