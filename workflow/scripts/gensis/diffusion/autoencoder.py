"""The autoencoder: diffusers' AutoencoderKL, trained on the study's images or given by the user."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL

from gensis.artifacts.files import read_json
from gensis.artifacts.folders import refuse_damaged
from gensis.diffusion.inputs import Pixels, encode
from gensis.diffusion.unet import norm_groups
from gensis.errors import UserError
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.training.device import convolution_format
from gensis.training.finite import refuse_not_finite

FORMAT = "gensis-autoencoder/1"
_BLOCK = 64


def create_autoencoder(settings: AutoencoderTraining, image_px: int) -> AutoencoderKL:
    """An autoencoder with random weights, for images of ``image_px`` on a side."""
    levels = len(settings.channels)
    return AutoencoderKL(
        sample_size=image_px,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=settings.channels,
        layers_per_block=settings.layers_per_block,
        latent_channels=settings.latent_channels,
        norm_num_groups=norm_groups(settings.channels),
        scaling_factor=1.0,
    )


def latent_shape(vae: AutoencoderKL) -> tuple[int, int, int]:
    """(channels, side, side) of the latents of an image of `sample_size`."""
    side = vae.config.sample_size // 2 ** (len(vae.config.block_out_channels) - 1)
    return vae.config.latent_channels, side, side


def scale_latents(vae: AutoencoderKL, pixels: Pixels, count: int = 2000) -> None:
    """Store `shift_factor` and `scaling_factor` in the autoencoder's configuration, which standardise its latents.

    They are the mean and the inverse standard deviation of the latents of ``count`` evenly spaced images.
    """
    rows = torch.linspace(0, len(pixels) - 1, min(count, len(pixels)), dtype=torch.float64).round().long()
    vae.register_to_config(shift_factor=0.0, scaling_factor=1.0)
    latents = torch.cat([encode(vae, pixels.batch(block)).cpu() for block in rows.split(_BLOCK)]).double()
    vae.register_to_config(shift_factor=latents.mean().item(), scaling_factor=1 / latents.std().item())


def load_autoencoder(folder: Path, device: torch.device) -> AutoencoderKL:
    """A frozen autoencoder on the device.

    Raises:
        UserError: the folder holds no autoencoder, or one that is damaged or whose weights are not finite.
    """
    if is_our_own(folder):
        refuse_damaged(folder)
    try:
        vae = AutoencoderKL.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{folder} is not the folder of a diffusers AutoencoderKL ({reason}): correct `autoencoder`"
        ) from None
    refuse_not_finite(vae, folder)
    return vae.to(device, memory_format=convolution_format(device)).eval().requires_grad_(False)


def is_our_own(folder: Path) -> bool:
    """Whether this pipeline trained the autoencoder, and therefore on the user's images alone."""
    record = Path(folder) / "provenance.json"
    return record.exists() and read_json(record).get("format") == FORMAT
