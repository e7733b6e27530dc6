"""The autoencoder of a latent diffusion model."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gensis.errors import UserError
from gensis.settings.base import PositiveFloat, PositiveInt, Settings, added
from gensis.settings.diffusion import Channels

FILES = ("config.json", "diffusion_pytorch_model.safetensors")
"""The files of an autoencoder's folder."""


class AutoencoderTraining(Settings):
    """Training of a small AutoencoderKL on the images of the data set, without external weights."""

    image_px: PositiveInt | Literal["auto"] = "auto"
    """Side in pixels of the training images. `auto`: the same as for the diffusion model."""
    channels: Annotated[Channels, Field(min_length=1)] = (64, 128, 128)
    """Channels of each level, multiples of 8. Each level after the first halves the side: three levels give f4
    latents."""
    latent_channels: PositiveInt = 4
    """Channels of the latents."""
    layers_per_block: PositiveInt = 1
    """Residual blocks per level."""
    steps: PositiveInt = 20_000
    """Training steps."""
    batch_size: PositiveInt = 64
    """Images per step."""
    learning_rate: PositiveFloat = 1e-4
    """Learning rate after the warm-up."""
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    """Steps of the linear learning rate warm-up."""
    kl_weight: Annotated[float, Field(ge=0)] = 1e-6
    """Weight of the Kullback-Leibler term, as in latent diffusion (arXiv 2112.10752)."""
    perceptual_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the perceptual loss, computed with the pre-trained encoder (decision 0013). 0 turns it off."""
    precision: Literal["float32", "bfloat16"] = added(neutral="float32")
    """Precision of the forward passes in training. Latents, losses and the KL term are always float32."""


def autoencoder_files(folder: Path) -> list[Path]:
    """The files of an autoencoder as diffusers saves it.

    Raises:
        UserError: the folder may not be read, or a file is missing, because the folder or the word `train` is mistyped.
    """
    if folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"config: autoencoder: '{folder}' may not be read: allow this user to read it")
    files = [folder / name for name in FILES]
    if missing := [file.name for file in files if not file.is_file()]:
        raise UserError(
            f"config: autoencoder: '{folder}' is not auto, none, train or a folder with {missing[0]}: correct it"
        )
    return files
