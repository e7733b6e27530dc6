"""The optimizer of the diffusion model and of the autoencoder."""

from typing import Any

import torch
from torch import nn

LARGEST_GRADIENT = 1.0


class OptimizerStep:
    """AdamW with linear warm-up, then a constant learning rate, on gradients clipped to a norm of 1."""

    def __init__(self, model: nn.Module, learning_rate: float, warmup_steps: int):
        self.parameters = list(model.parameters())
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.optimizer = torch.optim.AdamW(self.parameters, betas=(0.9, 0.99), fused=self.parameters[0].is_cuda)

    def step(self, loss: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        """Take one optimizer step on ``loss`` and return figures for the history."""
        rate = self.learning_rate * min((step + 1) / max(self.warmup_steps, 1), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, LARGEST_GRADIENT)
        self.optimizer.step()
        self.optimizer.zero_grad()  # now, so that gradients take no memory during the next forward pass
        return {"gradient_norm": norm, "learning_rate": torch.tensor(rate)}

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a saved state."""
        self.optimizer.load_state_dict(state)
