"""torch.compile in trainings, as `runtime.compile` selects it."""

from typing import Literal

import torch
from torch import nn

Compile = bool | Literal["reduce-overhead"]
"""Whether to compile, or the mode of torch.compile that also records CUDA graphs; on a CPU that mode only compiles."""


def compile_network(network: nn.Module, mode: Compile) -> None:
    """Compile the passes of a network in place: the names of its weights stay, and checkpoints are as before."""
    if mode:
        network.compile(dynamic=False, mode=None if mode is True else mode)


def begin_step(mode: Compile) -> None:
    """Mark the start of a training step.

    CUDA graphs write each step's outputs and gradients over those of the last. Without the mark, torch would take each
    forward pass for a new step, and the student's pass would overwrite the teacher's outputs.
    """
    if mode == "reduce-overhead":
        torch.compiler.cudagraph_mark_step_begin()
