"""The diffusion model's training step and training state."""

import copy
from typing import Any

import torch
from torch import nn

from gensis.diffusion.average import update_average, warmed_decay
from gensis.diffusion.denoiser import find_denoiser
from gensis.diffusion.inputs import Inputs, Pixels
from gensis.diffusion.objective import add_noise, make_scheduler
from gensis.diffusion.optimization import OptimizerStep
from gensis.diffusion.pipeline import condition_arguments, to_conditions
from gensis.diffusion.shuffled import ShuffledRows, steps_per_row
from gensis.images.features import Features
from gensis.settings.diffusion import Diffusion
from gensis.training.device import copied
from gensis.training.distributed import World
from gensis.training.loop import PREFETCHED_STEPS


class DiffusionTrainer:
    """The denoiser, its average and the optimizer. A `training.loop.Task`."""

    def __init__(
        self,
        settings: Diffusion,
        inputs: Inputs,
        embeddings: Features,
        *,
        device: torch.device,
        world: World,
        seed: int,
    ):
        """Initialise the training state, which depends on ``seed`` alone.

        Args:
            settings: settings of the training.
            inputs: pixels or latents of the train split, possibly with mirror images.
            embeddings: one embedding per input.
            device: device to train on.
            world: this process among all processes.
            seed: seed of the initialisation and of sampling.
        """
        torch.manual_seed(seed)
        self.settings, self.inputs, self.embeddings, self.device = settings, inputs, embeddings, device
        self.scheduler = make_scheduler(settings.objective, in_pixels=isinstance(inputs, Pixels))
        kind = find_denoiser(settings.denoiser)
        self.condition = kind.condition
        self.denoiser = kind.create(settings, inputs.shape, embeddings.shape[1]).to(device)
        self.average = copy.deepcopy(self.denoiser).requires_grad_(False)
        self.parallel_denoiser = world.parallel(self.denoiser)
        self.optimizer_step = OptimizerStep(self.denoiser, settings.learning_rate, settings.warmup_steps)
        self.total_steps = settings.steps
        self.steps_per_row = steps_per_row(settings.steps)
        self.shuffled = ShuffledRows(len(inputs), settings.batch_size, seed, world)
        self.images_per_step = self.shuffled.batch_size

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """Train for one step and return scalars for the history."""
        rows = self.shuffled.rows(step)
        inputs = self.inputs.batch(rows)
        conditions = noisy_conditions(copied(self.embeddings[rows], self.device), self.settings.condition_noise)
        for reader in (self.inputs, self.embeddings):
            reader.prefetch(self.shuffled.rows(step + PREFETCHED_STEPS))
        conditions = drop(conditions, self.settings.conditioning_dropout)
        noised = add_noise(inputs, self.scheduler)
        arguments = condition_arguments(self.condition, conditions)
        with self._autocast():
            output = self.parallel_denoiser(noised.noisy, noised.timesteps, **arguments).sample
        loss = nn.functional.mse_loss(output.float(), noised.target)
        figures = self.optimizer_step.step(loss, step)
        update_average(self.average, self.denoiser, warmed_decay(self.settings.ema_decay, step))
        return {"loss": loss, **figures}

    def state_dict(self) -> dict[str, Any]:
        """See Task."""
        return {
            "denoiser": self.denoiser.state_dict(),
            "average": self.average.state_dict(),
            "descent": self.optimizer_step.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Task."""
        self.denoiser.load_state_dict(state["denoiser"])
        self.average.load_state_dict(state["average"])
        self.optimizer_step.load_state_dict(state["descent"])

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16")


def noisy_conditions(embeddings: torch.Tensor, noise: float) -> torch.Tensor:
    """Conditions (B, D) from embeddings (B, D) with Gaussian noise, ``noise`` times as long as the embeddings.

    The denoiser does not know an image's exact embedding, and so generates images near it (Ramesh et al. 2022, unCLIP).
    """
    conditions = to_conditions(embeddings)
    return to_conditions(conditions + noise * torch.randn_like(conditions)) if noise else conditions


def drop(conditions: torch.Tensor, probability: float) -> torch.Tensor:
    """Conditions (B, D), each replaced by zeros, the null condition, with probability ``probability``."""
    mask = torch.rand(len(conditions), 1, device=conditions.device) >= probability
    return conditions * mask
