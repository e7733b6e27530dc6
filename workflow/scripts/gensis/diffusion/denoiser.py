"""The denoiser: diffusers' UNet, conditioned on an embedding through its class embedding."""

import math

from diffusers import UNet2DConditionModel

from gensis.settings.diffusion import Diffusion


def create_denoiser(settings: Diffusion, shape: tuple[int, int, int], embedding_width: int) -> UNet2DConditionModel:
    """A UNet with random weights.

    The embedding is projected and added to the time embedding, which shifts the features of every residual block. With
    one embedding an image, cross-attention would have one key, and so add a projected vector as well, at more cost.

    Args:
        settings: channels, blocks, attention.
        shape: (channels, side, side) of what is denoised.
        embedding_width: values of a condition.
    """
    levels = len(settings.channels)
    attends = [level >= levels - settings.attention_levels for level in range(levels)]
    return UNet2DConditionModel(
        sample_size=shape[1],
        in_channels=shape[0],
        out_channels=shape[0],
        down_block_types=tuple("AttnDownBlock2D" if attend else "DownBlock2D" for attend in attends),
        mid_block_type="UNetMidBlock2D",
        up_block_types=tuple("AttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)),
        block_out_channels=settings.channels,
        layers_per_block=settings.layers_per_block,
        norm_num_groups=norm_groups(settings.channels),
        attention_head_dim=math.gcd(32, *settings.channels),
        class_embed_type="projection",
        projection_class_embeddings_input_dim=embedding_width,
    )


def norm_groups(channels: tuple[int, ...]) -> int:
    """Groups of GroupNorm: up to 32, and at least four channels each, since fewer would normalise colours away."""
    return math.gcd(32, *(count // 4 for count in channels))
