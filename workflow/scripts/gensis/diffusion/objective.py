"""The training objective of the denoiser: noisy inputs, timesteps and targets, and the matching scheduler."""

from typing import NamedTuple

import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

Scheduler = FlowMatchEulerDiscreteScheduler | DDIMScheduler


class Noised(NamedTuple):
    """A batch of one training step."""

    noisy: torch.Tensor
    """float32 (B, C, h, w)."""
    timesteps: torch.Tensor
    """(B,) in [0, 1000]; a larger timestep has more noise."""
    target: torch.Tensor
    """float32 (B, C, h, w)."""


def make_scheduler(objective: str, in_pixels: bool) -> Scheduler:
    """The scheduler that is saved with the model.

    Args:
        objective: ``flow`` or ``epsilon``.
        in_pixels: whether the denoiser works on pixels in [-1, 1], to which the sampler of ``epsilon`` then clips its
            predictions.
    """
    if objective == "flow":
        return FlowMatchEulerDiscreteScheduler()
    # The noise schedule of latent diffusion (Rombach et al. 2022, arXiv 2112.10752).
    return DDIMScheduler(
        beta_start=0.0015,
        beta_end=0.0195,
        beta_schedule="scaled_linear",
        clip_sample=in_pixels,
        timestep_spacing="trailing",
    )


def add_noise(clean: torch.Tensor, scheduler: Scheduler) -> Noised:
    """Add noise to inputs; timesteps and noise are drawn from torch's global generator.

    Args:
        clean: float32 (B, C, h, w), latents of about unit variance or pixels in [-1, 1].
        scheduler: from `make_scheduler`.
    """
    noise = torch.randn_like(clean)
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        # Rectified flow with logit-normal times (Esser et al. 2024, arXiv 2403.03206, equations 13 and 19).
        sigma = torch.randn(len(clean), device=clean.device).sigmoid()
        part = sigma.view(-1, 1, 1, 1)
        return Noised((1 - part) * clean + part * noise, sigma * scheduler.config.num_train_timesteps, noise - clean)
    steps = torch.randint(scheduler.config.num_train_timesteps, (len(clean),), device=clean.device)
    return Noised(scheduler.add_noise(clean, noise, steps), steps, noise)
