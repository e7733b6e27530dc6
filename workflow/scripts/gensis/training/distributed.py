"""Training with several processes, started by torchrun, or with one."""

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

TIMEOUT = timedelta(hours=4)
"""How long a process waits for the others. While the first writes a large checkpoint to a slow disk, they wait in the
next step; torch's 10 minutes would end the training. A process that ended is noticed at once."""


@dataclass(frozen=True)
class World:
    """Rank of this process and number of processes that train together."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def parallel(self, model: nn.Module) -> nn.Module:
        """Wrap the model so that gradients are averaged over all processes."""
        return model if self.size == 1 else nn.parallel.DistributedDataParallel(model)

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """Mean over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
            tensor /= self.size
        return tensor

    def means(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Mean of each tensor over all processes, in one exchange."""
        if self.size == 1 or not tensors:
            return tensors
        together = self.mean(torch.cat([tensor.flatten() for tensor in tensors.values()]))
        parts = together.split([tensor.numel() for tensor in tensors.values()])
        return {name: part.view_as(tensors[name]) for name, part in zip(tensors, parts)}

    def gathered(self, tensor: torch.Tensor) -> torch.Tensor:
        """The (n, ...) tensors of all processes as (size * n, ...), by rank, with gradients to each process's own.

        If each process minimises the mean over its own rows, and gradients are averaged over processes, then the
        gradients are those of the mean over all rows.
        """
        return tensor if self.size == 1 else _Gathered.apply(tensor, self.rank, self.size)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set in any process. GPUs do not wait for it."""
        if self.size == 1:
            return flags
        return tuple((self.mean(torch.tensor(flags, dtype=torch.float32)) > 0).tolist())

    def largest(self, number: int) -> int:
        """The largest of the numbers of all processes."""
        if self.size == 1:
            return number
        numbers = torch.tensor(number)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return int(numbers)

    def leave(self) -> None:
        """End the work with the other processes, after all have come to this point."""
        if self.size > 1:
            self.any(False)
            dist.destroy_process_group()


class _Gathered(torch.autograd.Function):
    """Rows of all processes, with gradients."""

    @staticmethod
    def forward(context: Any, tensor: torch.Tensor, rank: int, size: int) -> torch.Tensor:
        context.rows = slice(rank * len(tensor), (rank + 1) * len(tensor))
        parts = [torch.empty_like(tensor) for _ in range(size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        gradient = gradient.clone()
        dist.all_reduce(gradient)  # the losses of all processes depend on the rows of this one
        return gradient[context.rows], None, None


def gradient_sync(model: nn.Module, skip: bool) -> AbstractContextManager[None]:
    """Context of a backward pass of a model of `World.parallel`; ``skip``: a later pass averages the gradients."""
    is_parallel = isinstance(model, nn.parallel.DistributedDataParallel)
    return model.no_sync() if skip and is_parallel else nullcontext()


def start_world(device: torch.device) -> tuple[World, torch.device]:
    """Join the processes that torchrun started.

    Returns:
        This process's rank in the world, and its own device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(), device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    world = World(dist.get_rank(), size)
    if not world.is_first:
        logging.getLogger().setLevel(logging.ERROR)  # only the first process logs
    return world, device
