"""The autoencoder in whose latents the diffusion model may work."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gensis.errors import UserError
from gensis.settings.base import PositiveFloat, PositiveInt, Settings
from gensis.settings.diffusion import Channels

FILES = ("config.json", "diffusion_pytorch_model.safetensors")
"""What an autoencoder's folder holds."""


class AutoencoderTraining(Settings):
    """Training of a small AutoencoderKL on the same images: no external weights."""

    image_px: PositiveInt | Literal["auto"] = "auto"
    """Side of the images it learns from. `auto`: as the diffusion model's."""
    channels: Annotated[Channels, Field(min_length=1)] = (64, 128, 128)
    """Channels a level, multiples of 8; each level after the first halves the side, so three give f4 latents."""
    latent_channels: PositiveInt = 4
    layers_per_block: PositiveInt = 1
    steps: PositiveInt = 20_000
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    kl_weight: Annotated[float, Field(ge=0)] = 1e-6
    """Weight of the Kullback-Leibler term, as in latent diffusion (arXiv 2112.10752)."""
    perceptual_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the distance in feature maps of the study's own encoder `dino` (decision 0013); 0: no such term."""


def autoencoder_files(folder: Path) -> list[Path]:
    """The files of an autoencoder as diffusers saves it.

    Raises:
        UserError: the folder lacks one: it is mistyped, or `train` is.
    """
    files = [folder / name for name in FILES]
    if missing := [file.name for file in files if not file.is_file()]:
        raise UserError(
            f"config: autoencoder: '{folder}' is neither auto, none, train nor a folder with {missing[0]}: correct it"
        )
    return files
