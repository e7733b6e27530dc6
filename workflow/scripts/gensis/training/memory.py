"""Memory of a device: what is free, what a pass needs, and passes that are repeated where it was full."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from gensis.training.device import free_bytes

Result = TypeVar("Result")


class Memory(Protocol):
    """Memory of a device."""

    def free_bytes(self) -> int:
        """Bytes that can be allocated now."""

    def peak_bytes(self, work: Callable[[], None]) -> int:
        """Do ``work``; return the largest number of bytes that it had allocated at a time."""


class GPUMemory:
    """The memory of a GPU, in this process."""

    def __init__(self, device: torch.device):
        self.device = device

    def free_bytes(self) -> int:
        """See Memory."""
        return free_bytes(self.device)

    def peak_bytes(self, work: Callable[[], None]) -> int:
        """See Memory."""
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        return torch.cuda.max_memory_allocated(self.device) - before


def within_memory(work: Callable[[], Result], divide: Callable[[], None], device: torch.device) -> Result:
    """The result of ``work``.

    Where the device's memory is full, ``divide`` is called, and ``work`` is done again with the same random numbers.

    Args:
        work: changes nothing that matters if it fails.
        divide: makes it need less memory, or raises a UserError.
        device: of its tensors.
    """
    restore = random_state(device)
    while True:
        try:
            return work()
        except torch.OutOfMemoryError:
            pass
        divide()  # here the error, whose traceback holds the activations, is gone
        restore()


def random_state(device: torch.device) -> Callable[[], None]:
    """A function that sets torch's generators, of the CPU and of the device, to the state that they have now."""
    of_cpu = torch.get_rng_state()
    of_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore() -> None:
        torch.set_rng_state(of_cpu)
        if of_gpu is not None:
            torch.cuda.set_rng_state(of_gpu, device)

    return restore
