"""Run a command on free GPUs: assign_gpus.py COUNT COMMAND... sets CUDA_VISIBLE_DEVICES to GPUs that no other job uses.

Snakemake counts GPUs but does not assign them to jobs, so all jobs would run on the first GPU. A GPU is reserved with a
file lock, which is released when the command ends, however it ends. If there are not enough free GPUs, or none are
known, the command runs with CUDA_VISIBLE_DEVICES unchanged.
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
    """Index -> UUID of the machine's GPUs; empty without a driver."""
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    return dict(line.split(", ") for line in answer.splitlines())


def visible_gpus(known: dict[str, str], visible: str | None) -> list[str]:
    """UUIDs of the GPUs in CUDA_VISIBLE_DEVICES ``visible``: all if it is None; none if it has an unknown name."""
    if visible is None:
        return list(known.values())
    names = [known.get(name.strip(), name.strip()) for name in visible.split(",")]
    return names if set(names) <= set(known.values()) else []


def take(names: Sequence[str], count: int, folder: Path) -> list[str]:
    """Lock ``count`` of the GPUs until this process and its children end; lock none if fewer are free."""
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
    """Replace this process with the command."""
    gpus = take(visible_gpus(known_gpus(), os.environ.get(VISIBLE)), count, Path(tempfile.gettempdir()))
    if gpus:
        os.environ[VISIBLE] = ",".join(gpus)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
