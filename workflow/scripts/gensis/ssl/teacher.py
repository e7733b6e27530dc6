"""The teacher: an exponential moving average of the student."""

import torch
from torch import nn


def as_teacher(teacher: nn.Module, student: nn.Module) -> nn.Module:
    """Give a network the student's weights, and no gradients."""
    teacher.load_state_dict(student.state_dict())
    return teacher.requires_grad_(False)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher <- momentum * teacher + (1 - momentum) * student, trained parameters only.

    The teacher runs in train mode and has its own BatchNorm statistics, as in the original.
    """
    pairs = [pair for pair in zip(teacher.parameters(), student.parameters()) if pair[1].requires_grad]
    torch._foreach_lerp_(*map(list, zip(*pairs)), 1 - momentum)
