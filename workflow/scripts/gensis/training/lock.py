"""A lock on the folder of a training, held by one process, for folders that several machines share.

The lock is a file `lock-<n>.json` that names its owner, and whose date the owner renews. The lock of an owner that is
gone is taken over by creating the file with the next number, which only one process can do.
"""

import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from pydantic import BaseModel, Field

from gensis.artifacts.processes import is_running, start_ticks
from gensis.errors import UserError

log = logging.getLogger(__name__)
_BEAT_SECONDS = 30
_LOOKS_PER_BEAT = 10
_MISSED_BEATS = 4
_LOCKS = "lock-*.json"


class Owner(BaseModel):
    """The process that holds a lock."""

    host: str
    process: int = Field(ge=1, lt=1 << 31)
    start_ticks: int | None = None
    """Start of the process, which tells it from a later one with the same number; None where the system hides it."""
    slurm_cluster: str | None = None
    slurm_job: str | None = None
    """Id of the SLURM job, which stays the same when the job is requeued."""

    @classmethod
    def this_process(cls) -> "Owner":
        """This process as the owner of a lock."""
        return cls(
            host=socket.gethostname(),
            process=os.getpid(),
            start_ticks=start_ticks(os.getpid()),
            slurm_cluster=os.environ.get("SLURM_CLUSTER_NAME"),
            slurm_job=os.environ.get("SLURM_JOB_ID"),
        )

    def is_alive(self) -> bool | None:
        """Whether the process runs; None if only its heartbeats can tell."""
        here = Owner.this_process()
        if self.host == here.host:
            return is_running(self.process, self.start_ticks)
        if self.slurm_job and self.slurm_cluster == here.slurm_cluster:
            return False if self.slurm_job == here.slurm_job or _is_over(self.slurm_job) else None
        return None

    def __str__(self) -> str:
        job = f" (SLURM job {self.slurm_job})" if self.slurm_job else ""
        return f"process {self.process} on {self.host}{job}"


class FolderLock:
    """Context manager that locks a folder for this process.

    The lock of a process on this host is refused or taken over at once, and so is that of a SLURM job that is over.
    Other owners get four heartbeats of time to show that they are alive.

    Raises:
        UserError: the process that holds the lock is alive.
    """

    def __init__(self, folder: Path):
        self._folder = Path(folder)
        self._done = threading.Event()

    def __enter__(self) -> "FolderLock":
        self._folder.mkdir(parents=True, exist_ok=True)
        while (lock := _take(self._folder)) is None:
            continue
        self._lock = lock
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._lock.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._done.wait(_BEAT_SECONDS):
            try:
                os.utime(self._lock)
            except FileNotFoundError:
                if not self._done.is_set():  # this process was silent for so long that another took over
                    log.error("%s is gone: another process trains here now, and this one stops", self._lock)
                    os.kill(os.getpid(), signal.SIGTERM)
                return
            except OSError as error:
                log.warning("cannot renew %s: %s", self._lock, error)


def is_lock(path: Path) -> bool:
    """Whether a file in a locked folder is a lock."""
    return path.match(_LOCKS)


def _take(folder: Path) -> Path | None:
    """Create the next lock; None if another process was faster.

    Raises:
        UserError: the process that holds the lock is alive.
    """
    found = sorted(folder.glob(_LOCKS), key=_number)
    if found:
        _outlast(found[-1])
    mine = folder / f"lock-{_number(found[-1]) + 1 if found else 1}.json"
    try:
        with open(mine, "x") as stream:
            stream.write(Owner.this_process().model_dump_json())
    except FileExistsError:
        return None
    if set(folder.glob(_LOCKS)) - {*found, mine}:  # of a process that came when the dead lock was already removed
        mine.unlink()
        return None
    for dead in found:
        log.info("taking over the lock of a process that is gone")
        dead.unlink(missing_ok=True)
    return mine


def _number(lock: Path) -> int:
    number = lock.stem.partition("-")[2]
    return int(number) if number.isdecimal() else 0


def _outlast(lock: Path) -> None:
    """Return when the owner of a lock is gone, or has missed four heartbeats while this process watched.

    Dates are only compared with each other: the clocks of machines differ.

    Raises:
        UserError: the owner is alive.
    """
    first = _last_beat(lock)
    for look in range(_MISSED_BEATS * _LOOKS_PER_BEAT):
        last, owner = _last_beat(lock), _owner(lock)
        alive = owner.is_alive() if owner else None
        if last is None or alive is False:
            return
        name = owner or f"the process of {lock}"
        if alive or last != first:
            raise UserError(f"{name} is training in {lock.parent}: wait for it, or stop it first")
        if look == 0:
            log.info("waiting up to %d s for a sign of life of %s", _MISSED_BEATS * _BEAT_SECONDS, name)
        time.sleep(_BEAT_SECONDS / _LOOKS_PER_BEAT)


def _last_beat(lock: Path) -> int | None:
    """Date of the last heartbeat; None if the lock was released."""
    try:
        return lock.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _owner(lock: Path) -> Owner | None:
    """The owner that a lock names; None if it names none, because its process was killed or is still writing it."""
    try:
        return Owner.model_validate_json(lock.read_bytes())
    except (OSError, ValueError):
        return None


def _is_over(job: str) -> bool:
    """Whether SLURM says that a job has ended; False if it does not answer."""
    if not shutil.which("squeue"):
        return False
    answer = subprocess.run(["squeue", "--noheader", "--jobs", job], capture_output=True, text=True)
    return not answer.stdout.strip() if answer.returncode == 0 else "Invalid job id" in answer.stderr
