"""The teacher: an exponential moving average of the student."""

import torch
from torch import nn


def as_teacher(teacher: nn.Module, student: nn.Module) -> nn.Module:
    """Give a network the student's weights, and no gradients."""
    teacher.load_state_dict(student.state_dict())
    return teacher.requires_grad_(False)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher <- momentum * teacher + (1 - momentum) * student, parameters only.

    The teacher runs in train mode and has its own BatchNorm statistics, as in the original.
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
