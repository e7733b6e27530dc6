"""The exponential moving average of the weights, which is what is saved."""

import torch
from torch import nn


def warmed_decay(decay: float, step: int) -> float:
    """Decay at a step. It is small at first, so that the average forgets the random initial weights."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * model."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
