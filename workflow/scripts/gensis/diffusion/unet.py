"""diffusers' UNet with our choice of blocks, which all denoisers of this package share."""

import math
from typing import Any

from diffusers import UNet2DConditionModel

from gensis.settings.diffusion import Diffusion


def create_unet(
    settings: Diffusion, shape: tuple[int, int, int], attending: str, **further: Any
) -> UNet2DConditionModel:
    """A UNet with random weights.

    Args:
        settings: settings of the diffusion model: channels, blocks, attention.
        shape: (channels, side, side) of its input.
        attending: diffusers' name of the blocks in levels with attention, which are the coarsest: `Attn{}Block2D`.
        further: arguments of UNet2DConditionModel.
    """
    levels = len(settings.channels)
    attends = [level >= levels - settings.attention_levels for level in range(levels)]
    return UNet2DConditionModel(
        sample_size=shape[1],
        in_channels=shape[0],
        out_channels=shape[0],
        down_block_types=tuple((attending if attend else "{}Block2D").format("Down") for attend in attends),
        up_block_types=tuple((attending if attend else "{}Block2D").format("Up") for attend in reversed(attends)),
        block_out_channels=settings.channels,
        layers_per_block=settings.layers_per_block,
        norm_num_groups=norm_groups(settings.channels),
        **further,
    )


def head_width(channels: tuple[int, ...]) -> int:
    """Channels per attention head: at most 32."""
    return math.gcd(32, *channels)


def norm_groups(channels: tuple[int, ...]) -> int:
    """Number of GroupNorm groups: at most 32, with at least 4 channels each; smaller ones normalise colour away."""
    return math.gcd(32, *(count // 4 for count in channels))
