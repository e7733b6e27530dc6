"""The diffusion model that generates images conditioned on an embedding."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gensis.settings.base import Fraction, PositiveFloat, PositiveInt, Settings, added, laid_over
from gensis.settings.registries import DENOISERS

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
    """A UNet trained to generate an image, conditioned on the image's L2-normalised embedding."""

    image_px: PositiveInt | Literal["auto"] = "auto"
    """Side in pixels of the generated images. `auto`: pretraining.image_px. Less than half of that is an error."""
    denoiser: Literal[*DENOISERS] = added(neutral="additive_embedding")
    """How the embedding conditions the UNet. `additive_embedding`: it is added to the time embedding of every block.
    `cross_attention`: it is a token of cross-attention, and the other keys default to the authors' values (channels
    [192, 384, 576, 960], three attention levels, epsilon, batches of 100)."""
    channels: Annotated[Channels, Field(min_length=1)] = (128, 256, 256)
    """Channels of each UNet level, multiples of 8. Each level after the first halves the side."""
    layers_per_block: PositiveInt = 2
    """Residual blocks per level."""
    attention_levels: Annotated[int, Field(ge=0)] = 1
    """Number of levels with attention, counted from the coarsest."""
    objective: Literal["flow", "epsilon"] = "flow"
    """`flow`: rectified flow with logit-normal times. `epsilon`: noise prediction with the schedule of latent
    diffusion."""
    conditioning_dropout: Fraction = 0.1
    """Probability that an embedding is replaced by zeros during training, for classifier-free guidance."""
    condition_noise: Annotated[float, Field(ge=0)] = added(neutral=0.0)
    """Norm of the noise added to the embeddings during training, relative to their norm. Reduces copying (unCLIP)."""
    flips: bool = added(neutral=False)
    """Also train on mirrored images, each with its own embedding."""
    steps: PositiveInt = 100_000
    """Training steps."""
    batch_size: PositiveInt = 256
    """Images per step."""
    learning_rate: PositiveFloat = 3e-4
    """Learning rate after the warm-up."""
    warmup_steps: Annotated[int, Field(ge=0)] = 1000
    """Steps of the linear learning rate warm-up."""
    ema_decay: Fraction = 0.9995
    """Decay of the exponential moving average of the weights, which is saved. It warms up over the first steps."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the forward passes in training, among them those of the frozen autoencoder. Latents, losses and the
    moving average are always float32."""

    @model_validator(mode="before")
    @classmethod
    def _as_the_authors(cls, values: Any) -> Any:
        return (
            laid_over(PAPER, values)
            if isinstance(values, dict) and values.get("denoiser") == "cross_attention"
            else values
        )
