"""The optimizer of the diffusion model and of the autoencoder."""

import logging
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from gensis.errors import UserError
from gensis.training.distributed import World
from gensis.training.memory import within_memory

log = logging.getLogger(__name__)
LARGEST_GRADIENT = 1.0

Losses = Callable[[slice], dict[str, torch.Tensor]]
"""Maps some images of a batch to means over them: scalars by name, of which `loss` has gradients and is minimised. It
draws no random numbers."""


class OptimizerStep:
    """AdamW with linear warm-up, then a constant learning rate, on gradients clipped to a norm of 1.

    A batch that does not fit in memory is divided into parts, which changes results only by rounding.
    """

    def __init__(self, model: nn.Module, learning_rate: float, warmup_steps: int, world: World):
        self.parameters = list(model.parameters())
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self._device = self.parameters[0].device
        self._parts, self._can_divide = 1, world.size == 1  # others would wait for a process that repeats its share
        self.optimizer = torch.optim.AdamW(self.parameters, betas=(0.9, 0.99), fused=self.parameters[0].is_cuda)

    def step(self, losses: Losses, images: int, step: int) -> dict[str, torch.Tensor]:
        """Take one optimizer step.

        Args:
            losses: see `Losses`.
            images: in the batch.
            step: number of the step, from 0.

        Returns:
            Figures for the history: means over the batch, gradient norm and learning rate.

        Raises:
            UserError: the memory is full, and the batch cannot be divided (further).
        """
        figures = within_memory(partial(self._backward, losses, images), partial(self._divide, images), self._device)
        rate = self.learning_rate * min((step + 1) / max(self.warmup_steps, 1), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = nn.utils.clip_grad_norm_(self.parameters, LARGEST_GRADIENT)
        self.optimizer.step()
        self.optimizer.zero_grad()  # now, so that gradients take no memory during the next forward pass
        return figures | {"gradient_norm": norm, "learning_rate": torch.tensor(rate)}

    def _backward(self, losses: Losses, images: int) -> dict[str, torch.Tensor]:
        """Accumulate the gradients of a batch part by part; return the means of its losses."""
        self.optimizer.zero_grad()
        sums: dict[str, torch.Tensor] = {}
        bounds = [images * number // self._parts for number in range(self._parts + 1)]
        for start, end in pairwise(bounds):
            share = (end - start) / images
            means = losses(slice(start, end))
            (share * means["loss"]).backward()
            for name, mean in means.items():
                sums[name] = sums.get(name, 0) + share * mean.detach()
        return sums

    def _divide(self, images: int) -> None:
        full = f"the GPU's memory is full with {-(-images // self._parts)} images at a time"
        if self._parts >= images:
            raise UserError(f"{full}: lower runtime.image_cache_gb, or choose fewer channels or a smaller image_px")
        if not self._can_divide:
            raise UserError(f"{full}: lower runtime.image_cache_gb or the stage's batch_size, and run again")
        self._parts = min(2 * self._parts, images)
        log.warning("WARNING: %s: repeating the step in %d parts", full, self._parts)

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a saved state."""
        self.optimizer.load_state_dict(state)
