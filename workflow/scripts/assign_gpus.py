"""Run a command on GPUs of its own: assign_gpus.py COUNT COMMAND... shows it so many that no other job has taken.

Snakemake counts GPUs, and starts as many jobs as there are, but hands none out: all would work on the first one.
A GPU is taken by a lock that ends with the command, however it ends. Where there are not so many free GPUs, or none
are known, the command runs and sees what it would have seen.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"


def known_gpus() -> dict[str, str]:
    """Number -> unique name of the machine's GPUs; none if no driver answers."""
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    return dict(line.split(", ") for line in answer.splitlines())


def visible_gpus(known: dict[str, str], told: str | None) -> list[str]:
    """Names of the GPUs that CUDA_VISIBLE_DEVICES shows: all if it is not set; none if it names what is unknown."""
    if told is None:
        return list(known.values())
    names = [known.get(name.strip(), name.strip()) for name in told.split(",")]
    return names if set(names) <= set(known.values()) else []


def take(names: Sequence[str], count: int, folder: Path) -> list[str]:
    """Lock ``count`` of the GPUs, until this process and its children end; none at all if fewer are free."""
    taken: dict[str, int] = {}
    for name in names:
        lock = os.open(folder / f"gensis-GPU-{name}-{os.getuid()}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if not isinstance(error, BlockingIOError):
                print(f"{folder}: {error.strerror}: jobs may share a GPU: set TMPDIR to a local disk", file=sys.stderr)
            continue
        taken[name] = lock
        if len(taken) == count:
            for lock in taken.values():
                os.set_inheritable(lock, True)
            return list(taken)
    for lock in taken.values():
        os.close(lock)
    return []


def main(count: int, command: Sequence[str]) -> None:
    """Become the command."""
    GPUs = take(visible_gpus(known_gpus(), os.environ.get(VISIBLE)), count, Path(tempfile.gettempdir()))
    if GPUs:
        os.environ[VISIBLE] = ",".join(GPUs)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
