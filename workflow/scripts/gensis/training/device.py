"""Choice of the device."""

import logging
import os
import shutil
import socket
import subprocess

import torch

from gensis.errors import UserError
from gensis.memory import keep_freed_memory

log = logging.getLogger(__name__)
_NO_GPU = ("", "-1", "NoDevFiles")


def choose_device(gpus: int, threads: int) -> torch.device:
    """Choose the device of this process, and configure CPU threads and memory. Only `allow_tf32` turns TF32 on.

    Args:
        gpus: number of GPUs requested; 0 is CPU.
        threads: CPU threads of the job.

    Raises:
        UserError: there is a GPU, or a scheduler gave this job one, that torch cannot use.
    """
    torch.set_num_threads(max(threads, 1))
    keep_freed_memory()
    _set_tf32(False)  # torch's default is True for convolutions
    if gpus == 0:
        return torch.device("cpu")
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True  # batches have few shapes: time the algorithms of each once
        return torch.device("cuda")
    if driver := _nvidia_driver():
        raise UserError(
            f"this machine has a GPU (driver {driver}) that torch {torch.__version__} (CUDA {torch.version.cuda}) "
            "cannot use: update the driver or install the matching torch, or run on CPU with --resources gpu=0"
        )
    if given := _given_gpus():
        raise UserError(
            f"torch {torch.__version__} (CUDA {torch.version.cuda}) sees no GPU on {socket.gethostname()}, although "
            f"{given} gives it one: run nvidia-smi there and install the matching torch, or run on CPU with "
            "--resources gpu=0"
        )
    log.info("no GPU here: running on %d CPU threads", torch.get_num_threads())
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """``cpu``, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def copied(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a CPU tensor to the device without waiting for the device's pending work. Tensors on the device stay."""
    from_cpu = device.type == "cuda" and tensor.device.type == "cpu"
    return tensor.pin_memory().to(device, non_blocking=True) if from_cpu else tensor.to(device)


def allow_tf32(device: torch.device, allowed: bool) -> None:
    """Set whether float32 matrix products and convolutions on GPUs may round their factors to TF32, in this process."""
    if device.type == "cuda":
        _set_tf32(allowed)


def _set_tf32(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def convolution_format(device: torch.device) -> torch.memory_format:
    """Memory format of networks of convolutions. On a CPU it is torch's default, to keep the last bits of results."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def free_bytes(device: torch.device) -> int:
    """Memory of a GPU that this process can allocate now, including what torch has allocated and does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _given_gpus() -> str | None:
    """The environment variable, with its value, that gives this process GPUs; None if none does."""
    names = ("SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES")
    values = {name: os.environ.get(name, "") for name in names}
    return next((f"{name}={value}" for name, value in values.items() if value not in _NO_GPU), None)


def _nvidia_driver() -> str | None:
    """Version of the NVIDIA driver; None if nvidia-smi finds no GPU."""
    if not (command := shutil.which("nvidia-smi")):
        return None
    query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True)
    return answer.stdout.split("\n")[0].strip() or None if answer.returncode == 0 else None
