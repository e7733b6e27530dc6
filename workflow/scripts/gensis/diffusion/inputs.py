"""Training inputs of the denoiser and the autoencoder: pixels in [-1, 1], or latents of a frozen autoencoder."""

import math
from typing import Protocol

import torch
from diffusers import AutoencoderKL

from gensis.augment.resample import resize
from gensis.errors import UserError
from gensis.images.reading import Images, read_ahead
from gensis.progress import progress
from gensis.ranges import to_signed
from gensis.training.device import copied

_BLOCK = 64


class Inputs(Protocol):
    """Inputs of one shape, read by row."""

    shape: tuple[int, int, int]
    """(channels, side, side)."""

    def __len__(self) -> int: ...

    def prefetch(self, rows: torch.Tensor) -> None:
        """Start to read rows that `batch` will be called with."""

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """float32 (n, *shape) on the device, for int64 (n,) rows on the CPU."""


class Flipped:
    """All images, followed by their mirror images: twice as many rows. An `Images`."""

    def __init__(self, images: Images):
        self.images = images
        self.index, self.shape = images.index, images.shape

    def __len__(self) -> int:
        return 2 * len(self.images)

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Images."""
        self.images.prefetch(rows % len(self.images))

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Images."""
        images = self.images.batch(rows % len(self.images))
        mirrored = copied(rows >= len(self.images), images.device).view(-1, 1, 1, 1)
        return torch.where(mirrored, images.flip(3), images)


class Pixels:
    """Images resized to squares, in [-1, 1]."""

    def __init__(self, images: Images, image_px: int):
        self.images = images
        self.image_px = image_px
        self.shape = (3, image_px, image_px)

    def __len__(self) -> int:
        return len(self.images)

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Inputs."""
        self.images.prefetch(rows)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Inputs."""
        return to_signed(resize(self.images.batch(rows), self.image_px))


class Latents:
    """Latents that are computed whenever they are read."""

    def __init__(self, pixels: Pixels, vae: AutoencoderKL, precision: str = "float32"):
        """Latents of pixels; ``precision`` is that of the autoencoder's passes: `float32` or `bfloat16`.

        Diffusers' training scripts encode in the precision of the training as well, but for autoencoders that overflow
        in float16, whose range is smaller than that of bfloat16.
        """
        self.pixels = pixels
        self.vae = vae
        self._in_bfloat16 = precision == "bfloat16"
        self.shape = tuple(self.batch(torch.tensor([0])).shape[1:])

    def __len__(self) -> int:
        return len(self.pixels)

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Inputs."""
        self.pixels.prefetch(rows)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Inputs."""
        pixels = self.pixels.batch(rows)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self._in_bfloat16):
            return encode(self.vae, pixels)


class HeldLatents:
    """Latents that are computed once and stay on the device."""

    def __init__(self, latents: Latents):
        self.shape = latents.shape
        self.tensor = torch.empty((len(latents), *latents.shape), device=latents.vae.device)
        done, blocks = 0, read_ahead(latents, torch.arange(len(latents)).split(_BLOCK))
        for block in progress(blocks, len(latents), "latents computed", size=len):
            self.tensor[done : done + len(block)] = block
            done += len(block)

    def __len__(self) -> int:
        return len(self.tensor)

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Inputs."""

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Inputs."""
        return self.tensor[copied(rows, self.tensor.device)]


def latents_of(
    pixels: Pixels, vae: AutoencoderKL, image_cache_gb: float, precision: str = "float32"
) -> Latents | HeldLatents:
    """The latents of all images, which stay on the device if they take at most ``image_cache_gb``."""
    latents = Latents(pixels, vae, precision)
    size_gb = 4 * len(latents) * math.prod(latents.shape) / 1e9
    return HeldLatents(latents) if size_gb <= image_cache_gb else latents


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """Latents of pixels (B, 3, H, W) in [-1, 1]: the mode of the posterior, shifted and scaled to unit variance.

    They are float32 in any precision of the pass. Few images are encoded at a time: the first layers need many times
    the memory of their pixels, and a batch that does not fit is not divided here.
    """
    blocks = pixels.to(vae.dtype).split(_BLOCK)
    latents = torch.cat([vae.encode(block).latent_dist.mode().float() for block in blocks])
    return (latents - (vae.config.shift_factor or 0)) * vae.config.scaling_factor


def checked_px(image_px: int | str) -> int:
    """The side of an image in pixels, where a study has resolved it.

    Raises:
        UserError: ``image_px`` is still ``auto``.
    """
    if image_px == "auto":
        raise UserError("image_px is 'auto', which only a study resolves: give a number in --config")
    return image_px


def check_halvings(image_px: int, halvings: int) -> None:
    """Check that the levels of denoiser and autoencoder can halve an image.

    Raises:
        UserError: ``image_px`` is no multiple of 2 ** ``halvings``.
    """
    if image_px % 2**halvings:
        raise UserError(
            f"diffusion.image_px {image_px} cannot be halved {halvings} times, as denoiser and autoencoder do: "
            f"use a multiple of {2**halvings}, or fewer `channels`"
        )
