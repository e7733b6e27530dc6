"""The diffusion model that generates an image from its embedding."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gensis.settings.base import Fraction, PositiveFloat, PositiveInt, Settings, added, laid_over

Channels = tuple[Annotated[int, Field(gt=0, multiple_of=8)], ...]

# The embedding-conditioned latent diffusion of the method's authors (Graikos et al. 2024, arXiv 2312.07330).
PAPER: dict[str, Any] = {
    "channels": (192, 384, 576, 960),
    "attention_levels": 3,
    "objective": "epsilon",
    "batch_size": 100,
    "learning_rate": 1e-4,
}


class Diffusion(Settings):
    """A UNet conditioned on the L2-normalised embedding of the image that it learns to generate."""

    image_px: PositiveInt | Literal["auto"] = "auto"
    """Side of the generated images. `auto`: as pretraining.image_px; below half of it is refused."""
    denoiser: Literal["additive_embedding", "cross_attention"] = added(neutral="additive_embedding")
    """How the embedding enters. `additive_embedding`: it shifts every block's features. `cross_attention`: it is a
    token of cross-attention, and what is not stated here is as the authors' (channels 192 384 576 960, attention in
    three levels, epsilon, batches of 100)."""
    channels: Annotated[Channels, Field(min_length=1)] = (128, 256, 256)
    """Channels of the UNet a level, multiples of 8; each level after the first halves the side."""
    layers_per_block: PositiveInt = 2
    attention_levels: Annotated[int, Field(ge=0)] = 1
    """Attention in so many of the coarsest levels."""
    objective: Literal["flow", "epsilon"] = "flow"
    """`flow`: rectified flow with logit-normal times. `epsilon`: noise prediction, with latent diffusion's schedule."""
    conditioning_dropout: Fraction = 0.1
    """Probability that an embedding is replaced by zeros in training, for guidance."""
    condition_noise: Annotated[float, Field(ge=0)] = added(neutral=0.0)
    """Noise on the embeddings in training, as a part of their length: keeps images from being copied (unCLIP)."""
    flips: bool = added(neutral=False)
    """Learn mirrored images too, each from its own embedding."""
    steps: PositiveInt = 100_000
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 3e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 1000
    ema_decay: Fraction = 0.9995
    """Decay of the averaged weights, which are the ones saved; it warms up over the first steps."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward passes in training; losses and the average are always float32."""

    @model_validator(mode="before")
    @classmethod
    def _as_the_authors(cls, values: Any) -> Any:
        return (
            laid_over(PAPER, values)
            if isinstance(values, dict) and values.get("denoiser") == "cross_attention"
            else values
        )
