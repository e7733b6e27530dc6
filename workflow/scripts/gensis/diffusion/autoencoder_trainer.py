"""The autoencoder's training step and training state."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import nn

from gensis.diffusion.autoencoder import create_autoencoder, latent_shape
from gensis.diffusion.held_out import HeldOut
from gensis.diffusion.inputs import Pixels
from gensis.diffusion.optimization import OptimizerStep
from gensis.diffusion.shuffled import ShuffledRows, steps_per_row
from gensis.ranges import from_signed
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.training.compiling import Compile, begin_step, compile_network
from gensis.training.device import convolution_format
from gensis.training.distributed import World
from gensis.training.loop import PREFETCHED_STEPS

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Perceptual distance, a scalar, between float32 images (B, 3, H, W) in [0, 255] and their originals."""


class Reconstruction(nn.Module):
    """Encode and decode in one forward call, as DistributedDataParallel requires."""

    def __init__(self, vae: AutoencoderKL, precision: str = "float32"):
        """Wrap the autoencoder; ``precision`` is that of its passes: `float32` or `bfloat16`."""
        super().__init__()
        self.vae = vae
        self._in_bfloat16 = precision == "bfloat16"

    def forward(self, pixels: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reconstruct from latents that are sampled with given noise, so that compiled passes draw the same numbers.

        Args:
            pixels: float32 (B, 3, H, W).
            noise: float32 (B, *latents) of unit variance.

        Returns:
            float32 (B, 3, H, W), and the KL divergences (B,) in nats.
        """
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self._in_bfloat16):
            moments = self.vae.encode(pixels).latent_dist.parameters.float()
            posterior = DiagonalGaussianDistribution(moments)
            return self.vae.decode(posterior.mean + posterior.std * noise).sample.float(), posterior.kl()


class AutoencoderTrainer:
    """The autoencoder and its optimizer. A `training.loop.Task`."""

    def __init__(
        self,
        settings: AutoencoderTraining,
        pixels: Pixels,
        *,
        device: torch.device,
        world: World,
        seed: int,
        distance: Distance | None = None,
        compile: Compile = False,
    ):
        """Initialise the training state, which depends on ``seed`` alone.

        Args:
            settings: settings of the training.
            pixels: images of the train split; some of them are held out.
            device: device to train on.
            world: this process among all processes.
            seed: seed of the initialisation, of sampling and of the choice of held-out images.
            distance: distance of the perceptual term; needed if `perceptual_weight` is above 0.
            compile: `runtime.compile`.
        """
        torch.manual_seed(seed)
        self.settings, self.pixels, self.distance = settings, pixels, distance
        self.vae = create_autoencoder(settings, pixels.image_px).to(device, memory_format=convolution_format(device))
        self.reconstruct = world.parallel(Reconstruction(self.vae, settings.precision))
        self._compile = compile
        compile_network(self.reconstruct, compile)
        self.optimizer_step = OptimizerStep(self.vae, settings.learning_rate, settings.warmup_steps, world)
        self.total_steps = settings.steps
        self.steps_per_row = steps_per_row(settings.steps)
        self.held_out = HeldOut(len(pixels), seed)
        self.shuffled = ShuffledRows(self.held_out.others, settings.batch_size, seed, world)
        self.images_per_step = self.shuffled.batch_size

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """Train for one step and return scalars for the history.

        As in latent diffusion, ``kl_weight`` is relative to errors that are summed over an image. All terms are divided
        by the number of values in an image, so that they can be compared across image sizes.
        """
        begin_step(self._compile)
        pixels = self.pixels.batch(self._rows(step))
        self.pixels.prefetch(self._rows(step + PREFETCHED_STEPS))
        noise = self.noise(len(pixels))
        return self.optimizer_step.step(lambda part: self._losses(pixels[part], noise[part]), len(pixels), step)

    def noise(self, images: int) -> torch.Tensor:
        """Noise to sample the latents of so many images with."""
        return torch.randn((images, *latent_shape(self.vae)), device=self.vae.device)

    def _losses(self, pixels: torch.Tensor, noise: torch.Tensor) -> dict[str, torch.Tensor]:
        """Means over some images of the batch."""
        reconstruction, divergence = self.reconstruct(pixels, noise)
        absolute = nn.functional.l1_loss(reconstruction, pixels)
        squared = nn.functional.mse_loss(reconstruction, pixels)
        kl = divergence.mean() / pixels[0].numel()
        loss = absolute + squared + self.settings.kl_weight * kl
        errors = {"absolute_error": absolute, "squared_error": squared, "kl": kl}
        if self.settings.perceptual_weight:
            with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
                errors["perceptual"] = self.distance(from_signed(reconstruction), from_signed(pixels))
            loss = loss + self.settings.perceptual_weight * errors["perceptual"]
        return {"loss": loss, **errors}

    def _rows(self, step: int) -> torch.Tensor:
        return self.held_out.row_of(self.shuffled.rows(step))

    def state_dict(self) -> dict[str, Any]:
        """See Task."""
        return {"vae": self.vae.state_dict(), "descent": self.optimizer_step.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Task."""
        self.vae.load_state_dict(state["vae"])
        self.optimizer_step.load_state_dict(state["descent"])
