"""Copies to a device, and number formats on it."""

import os
import re
import socket

import pytest
import torch

from gensis.errors import UserError
from gensis.training.device import allow_tf32, choose_device, copied

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


def test_a_chosen_device_does_not_use_tf32_until_it_is_allowed(backends):
    for backend in backends:
        backend.allow_tf32 = True
    choose_device(0, torch.get_num_threads())
    assert [backend.allow_tf32 for backend in backends] == [False] * 2


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without GPUs and driver, on which no scheduler has given any."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("SLURM_", "CUDA_VISIBLE"))]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value"), [("SLURM_JOB_GPUS", "0"), ("SLURM_GPUS_ON_NODE", "2"), ("CUDA_VISIBLE_DEVICES", "0,1")]
)
def test_a_job_that_was_given_a_gpu_and_sees_none_stops(bare, name, value):
    bare.setenv(name, value)
    what = re.escape(f"sees no GPU on {socket.gethostname()}, although {name}={value} gives it one: run nvidia-smi")
    with pytest.raises(UserError, match=what):
        choose_device(1, torch.get_num_threads())
    assert choose_device(0, torch.get_num_threads()) == CPU


@pytest.mark.parametrize("value", [None, "", "-1", "NoDevFiles"])
def test_a_job_that_was_given_no_gpu_runs_on_the_cpu(bare, value):
    if value is not None:
        bare.setenv("CUDA_VISIBLE_DEVICES", value)
    assert choose_device(1, torch.get_num_threads()) == CPU
