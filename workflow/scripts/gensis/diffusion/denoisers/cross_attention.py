"""A UNet that takes the condition as the only token of its cross-attention."""

from diffusers import UNet2DConditionModel

from gensis.diffusion.denoiser import Denoiser
from gensis.diffusion.unet import create_unet, head_width
from gensis.settings.diffusion import Diffusion

TOKEN_WIDTH = 512


def create(settings: Diffusion, shape: tuple[int, int, int], embedding_width: int) -> UNet2DConditionModel:
    """The embedding is projected to a single token, which the coarsest levels attend to after self-attention.

    Attention over a single token adds a projected vector too, but costs more.
    """
    width = head_width(settings.channels)
    return create_unet(
        settings,
        shape,
        "CrossAttn{}Block2D",
        mid_block_type="UNetMidBlock2DCrossAttn",
        # In these blocks diffusers takes this as the number of heads (huggingface/diffusers issue 2011).
        attention_head_dim=tuple(count // width for count in settings.channels),
        encoder_hid_dim=embedding_width,
        encoder_hid_dim_type="text_proj",
        cross_attention_dim=TOKEN_WIDTH,
    )


CROSS_ATTENTION = Denoiser(create, {"encoder_hidden_states": "token"})
