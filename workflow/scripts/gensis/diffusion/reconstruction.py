"""Reconstruction quality of an autoencoder: PSNR, SSIM, and a picture of originals and reconstructions."""

from collections.abc import Callable

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from gensis.diffusion.inputs import Pixels
from gensis.ranges import from_signed, to_bytes
from gensis.training.distributed import World

MOST_DECIBELS = 100.0  # PSNR of equal images
MARGIN_PX = 5  # closer to the border, the window of 11 px exceeds the image
PICTURED = 8
_BLOCK = 64


@torch.no_grad()
def reconstructed(vae: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """Reconstructions of pixels (B, 3, H, W) in [-1, 1] from the posterior's mode: float32 (B, 3, H, W) in [-1, 1]."""
    latents = vae.encode(pixels.to(vae.dtype)).latent_dist.mode()
    return vae.decode(latents).sample.float().clamp(-1, 1)


def psnr(images: torch.Tensor, originals: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB, float32 (B,), of (B, C, H, W) in [0, 1]; at most 100."""
    decibels = peak_signal_noise_ratio(images, originals, data_range=1.0, reduction="none", dim=(1, 2, 3))
    return decibels.clamp(max=MOST_DECIBELS)


def ssim(images: torch.Tensor, originals: torch.Tensor) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004), float32 (B,), of (B, C, H, W) in [0, 1], H and W above 10.

    Mean over channels and over all positions where a Gaussian window of 11 px lies within the image. torchmetrics' own
    mean includes mirrored margins.
    """
    options = {"data_range": 1.0, "reduction": "none", "return_full_image": True}
    _, similarity = structural_similarity_index_measure(images, originals, **options)
    return similarity[..., MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX].mean((1, 2, 3))


def reconstruction(vae: AutoencoderKL, pixels: Pixels, rows: torch.Tensor, world: World = World()) -> dict[str, float]:
    """Mean ``psnr`` and ``ssim`` of the reconstructions of some rows, divided among processes. Empty for no rows."""
    if not len(rows):
        return {}
    sums = torch.zeros(2)
    for block in rows[world.rank :: world.size].split(_BLOCK):
        originals = pixels.batch(block)
        one, other = ((each + 1) / 2 for each in (reconstructed(vae, originals), originals))
        sums += torch.stack([psnr(one, other).sum(), ssim(one, other).sum()]).cpu()
    means = world.mean(sums) * world.size / len(rows)
    return dict(zip(("psnr", "ssim"), means.tolist()))


def watch_reconstruction(
    vae: AutoencoderKL, pixels: Pixels, rows: torch.Tensor, world: World
) -> Callable[[dict[str, float]], dict[str, float]]:
    """The ``watch`` of `training.loop.train`: measures `reconstruction` at each row of the history."""
    return lambda row: reconstruction(vae, pixels, rows, world)


def pictured(vae: AutoencoderKL, pixels: Pixels, rows: torch.Tensor) -> Image.Image:
    """A picture of up to eight originals, evenly spaced among some rows, above their reconstructions."""
    chosen = rows[torch.linspace(0, len(rows) - 1, min(PICTURED, len(rows))).round().long()]
    originals = pixels.batch(chosen)
    both = torch.stack([originals, reconstructed(vae, originals)])  # (2, n, 3, H, W)
    grid = to_bytes(from_signed(both)).permute(0, 3, 1, 4, 2)
    return Image.fromarray(grid.reshape(2 * pixels.image_px, -1, 3).cpu().numpy())
