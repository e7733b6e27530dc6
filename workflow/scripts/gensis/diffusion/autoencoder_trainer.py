"""Training the autoencoder: one step, and all that it changes."""

from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from gensis.diffusion.autoencoder import create_autoencoder
from gensis.diffusion.descent import Descent
from gensis.diffusion.inputs import Pixels
from gensis.settings.autoencoder import AutoencoderTraining
from gensis.training.distributed import World

HISTORY_ROWS = 100


class Reconstruction(nn.Module):
    """There and back: one forward pass, as several processes need it."""

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reconstruction of pixels (B, 3, H, W) from sampled latents, and the posterior's divergence (B,) in nats."""
        posterior = self.vae.encode(pixels).latent_dist
        return self.vae.decode(posterior.sample()).sample, posterior.kl()


class AutoencoderTrainer:
    """The autoencoder and its optimizer. A `training.loop.Task`."""

    def __init__(self, settings: AutoencoderTraining, pixels: Pixels, device: torch.device, world: World, seed: int):
        """Build everything at its initial value, which depends on ``seed`` alone."""
        torch.manual_seed(seed)
        self.settings, self.pixels = settings, pixels
        self.vae = create_autoencoder(settings, pixels.image_px).to(device)
        self.reconstruct = world.parallel(Reconstruction(self.vae))
        self.descent = Descent(self.vae, settings.learning_rate, settings.warmup_steps)
        self.total_steps = settings.steps
        self.steps_per_row = max(settings.steps // HISTORY_ROWS, 1)
        self.batch_size = max(settings.batch_size // world.size, 1)
        self.images_per_step = self.batch_size * world.size

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of training; scalars for the history.

        As in latent diffusion, the divergence's weight counts against errors summed over an image; all is divided by
        the number of an image's values, so that figures compare across sizes.
        """
        rows = torch.randint(len(self.pixels), (self.batch_size,))
        pixels = self.pixels.batch(rows)
        reconstruction, divergence = self.reconstruct(pixels)
        absolute = nn.functional.l1_loss(reconstruction, pixels)
        squared = nn.functional.mse_loss(reconstruction, pixels)
        kl = divergence.mean() / pixels[0].numel()
        loss = absolute + squared + self.settings.kl_weight * kl
        figures = self.descent.step(loss, step)
        return {"loss": loss, "absolute_error": absolute, "squared_error": squared, "kl": kl, **figures}

    def state_dict(self) -> dict[str, Any]:
        """See Task."""
        return {"vae": self.vae.state_dict(), "descent": self.descent.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Task."""
        self.vae.load_state_dict(state["vae"])
        self.descent.load_state_dict(state["descent"])
