"""The diffusion model that paints an image from its embedding."""

from typing import Annotated, Literal

from pydantic import Field

from gensis.settings.base import Fraction, PositiveFloat, PositiveInt, Settings

Channels = tuple[Annotated[int, Field(gt=0, multiple_of=8)], ...]


class Diffusion(Settings):
    """A UNet conditioned on the L2-normalised embedding of the image that it learns to paint."""

    image_px: PositiveInt | Literal["auto"] = "auto"
    """Side of the painted images. `auto`: as pretraining.image_px; below half of it is refused."""
    channels: Annotated[Channels, Field(min_length=1)] = (128, 256, 256)
    """Channels of the UNet a level, multiples of 8; each level after the first halves the side."""
    layers_per_block: PositiveInt = 2
    attention_levels: Annotated[int, Field(ge=0)] = 1
    """Self-attention in so many of the coarsest levels."""
    objective: Literal["flow", "epsilon"] = "flow"
    """`flow`: rectified flow with logit-normal times. `epsilon`: noise prediction, with latent diffusion's schedule."""
    conditioning_dropout: Fraction = 0.1
    """Probability that an embedding is replaced by zeros in training, for guidance."""
    steps: PositiveInt = 100_000
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 3e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 1000
    ema_decay: Fraction = 0.9995
    """Decay of the averaged weights, which are the ones saved; it warms up over the first steps."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward passes in training; losses and the average are always float32."""
