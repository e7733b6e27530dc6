"""The denoiser: diffusers' UNet, conditioned on an embedding in one of two ways."""

import math
from typing import Any

from diffusers import UNet2DConditionModel

from gensis.settings.diffusion import Diffusion

TOKEN_WIDTH = 512


def create_denoiser(settings: Diffusion, shape: tuple[int, int, int], embedding_width: int) -> UNet2DConditionModel:
    """A UNet with random weights.

    `additive_embedding`: the embedding is projected and added to the time embedding, which shifts the features of every
    residual block. `cross_attention`: the embedding is projected to a single token, which the coarsest levels attend to
    after self-attention. Attention over a single token adds a projected vector too, but costs more.

    Args:
        settings: settings of the diffusion model: denoiser, channels, blocks, attention.
        shape: (channels, side, side) of the denoiser's input.
        embedding_width: dimension of a condition.
    """
    levels = len(settings.channels)
    attends = [level >= levels - settings.attention_levels for level in range(levels)]
    attending = "CrossAttn{}Block2D" if settings.denoiser == "cross_attention" else "Attn{}Block2D"
    return UNet2DConditionModel(
        sample_size=shape[1],
        in_channels=shape[0],
        out_channels=shape[0],
        down_block_types=tuple((attending if attend else "{}Block2D").format("Down") for attend in attends),
        up_block_types=tuple((attending if attend else "{}Block2D").format("Up") for attend in reversed(attends)),
        block_out_channels=settings.channels,
        layers_per_block=settings.layers_per_block,
        norm_num_groups=norm_groups(settings.channels),
        **_conditioned(settings, embedding_width),
    )


def _conditioned(settings: Diffusion, embedding_width: int) -> dict[str, Any]:
    """The UNet's arguments that differ between the two denoisers."""
    head_width = math.gcd(32, *settings.channels)
    if settings.denoiser == "cross_attention":
        return {
            "mid_block_type": "UNetMidBlock2DCrossAttn",
            "encoder_hid_dim": embedding_width,
            "encoder_hid_dim_type": "text_proj",
            "cross_attention_dim": TOKEN_WIDTH,
            # In these blocks diffusers takes this as the number of heads (huggingface/diffusers issue 2011).
            "attention_head_dim": tuple(count // head_width for count in settings.channels),
        }
    return {
        "mid_block_type": "UNetMidBlock2D",
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": embedding_width,
        "attention_head_dim": head_width,
    }


def norm_groups(channels: tuple[int, ...]) -> int:
    """Number of GroupNorm groups: at most 32, with at least 4 channels each; smaller ones normalise colour away."""
    return math.gcd(32, *(count // 4 for count in channels))
