"""Copies to a device, and number formats on it."""

import pytest
import torch

from gensis.training.device import allow_tf32, copied

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class Recorded:
    """A tensor that records what a copy to a GPU asks of it."""

    def __init__(self, device, calls=()):
        self.device, self.calls = device, list(calls)

    def pin_memory(self):
        return Recorded(self.device, [*self.calls, "pinned"])

    def to(self, device, non_blocking=False):
        return Recorded(device, [*self.calls, f"to {device.type}{', not waiting' * non_blocking}"])


@pytest.mark.parametrize(
    ("start", "end", "calls"),
    [
        (CPU, GPU, ["pinned", "to cuda, not waiting"]),
        (torch.device("cuda", 0), GPU, ["to cuda"]),  # memory on a GPU cannot be pinned
        (CPU, CPU, ["to cpu"]),
    ],
)
def test_copies_to_a_gpu_are_pinned_and_do_not_wait(start, end, calls):
    assert copied(Recorded(start), end).calls == calls


def test_a_copy_to_the_same_device_is_the_tensor_itself():
    tensor = torch.arange(3)
    assert copied(tensor, CPU) is tensor


@pytest.fixture
def backends():
    """The backends that may use TF32, with their flags restored afterwards."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    yield backends
    for backend, allowed in zip(backends, before):
        backend.allow_tf32 = allowed


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_set_for_products_and_convolutions_of_gpus_alone(backends, allowed):
    for backend in backends:
        backend.allow_tf32 = not allowed
    allow_tf32(CPU, allowed)
    assert [backend.allow_tf32 for backend in backends] == [not allowed] * 2
    allow_tf32(GPU, allowed)
    assert [backend.allow_tf32 for backend in backends] == [allowed] * 2
