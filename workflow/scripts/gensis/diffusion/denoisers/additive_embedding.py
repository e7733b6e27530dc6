"""A UNet that takes the condition as its class embedding."""

from diffusers import UNet2DConditionModel

from gensis.diffusion.denoiser import Denoiser
from gensis.diffusion.pipeline import CLASS_EMBEDDING
from gensis.diffusion.unet import create_unet, head_width
from gensis.settings.diffusion import Diffusion


def create(settings: Diffusion, shape: tuple[int, int, int], embedding_width: int) -> UNet2DConditionModel:
    """The embedding is projected and added to the time embedding, which shifts the features of every residual block."""
    return create_unet(
        settings,
        shape,
        "Attn{}Block2D",
        mid_block_type="UNetMidBlock2D",
        attention_head_dim=head_width(settings.channels),
        class_embed_type="projection",
        projection_class_embeddings_input_dim=embedding_width,
    )


ADDITIVE_EMBEDDING = Denoiser(create, CLASS_EMBEDDING)
