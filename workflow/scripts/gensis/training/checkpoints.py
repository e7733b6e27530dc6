"""Checkpoints that outlive jobs, are keyed by all that decides the result, and are never shared by two trainers."""

import hashlib
import json
import logging
import os
import pickle
import socket
import threading
import time
from pathlib import Path
from typing import Any

import torch

from gensis.artifacts.files import publish_folder, write_text, written_atomically
from gensis.errors import UserError

log = logging.getLogger(__name__)
_BEAT_SECONDS = 30
_STALE_SECONDS = 300


def fingerprint(settings: dict[str, Any], inputs: dict[str, str], seed: int, device: torch.device) -> str:
    """What decides the weights, as 16 hexadecimal digits.

    The number of processes is no part of it: they share one batch, so that a training goes on with more or fewer cards.

    Args:
        settings: the stage's settings.
        inputs: name -> content id of everything that is learnt from.
        seed: of the training.
        device: a CPU's result depends on its number of threads, so they count there.
    """
    where = f"cpu-{torch.get_num_threads()}" if device.type == "cpu" else device.type
    text = json.dumps([settings, inputs, seed, where], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class CheckpointFolder:
    """One training's folder: `checkpoint-<step>.pt` while it runs, `published/` when it is done.

    A context manager: inside it, this process alone works in the folder.
    """

    def __init__(self, root: Path, stage: str, fingerprint: str, keep: int = 1):
        """Name the folder of a training, of which the last ``keep`` checkpoints stay."""
        self.path = Path(root) / stage / fingerprint
        self.fingerprint = fingerprint
        self._keep = keep
        self._lock = self.path / "lock.json"
        self._done = threading.Event()

    @property
    def published(self) -> Path:
        """The finished artifact; complete if it exists."""
        return self.path / "published"

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint of ``state["step"]``, then remove those that are too old."""
        with written_atomically(self.path / f"checkpoint-{state['step']:09d}.pt") as temporary:
            torch.save({"fingerprint": self.fingerprint, **state}, temporary)
        for old in self._checkpoints()[self._keep :]:
            old.unlink(missing_ok=True)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The last checkpoint, or None.

        One that the disk has spoilt is passed over for the one before it.

        Raises:
            UserError: none can be read, or another training wrote it.
        """
        paths = self._checkpoints()
        for path in paths:
            try:
                state = torch.load(path, map_location=device, weights_only=True)
            except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
                log.warning("WARNING: %s cannot be read (%s)", path, error)
                continue
            if state.pop("fingerprint") != self.fingerprint:
                raise UserError(f"{path} belongs to another training: remove it")
            return state
        if paths:
            raise UserError(f"no checkpoint in {self.path} can be read: remove them to begin anew")
        return None

    def publish(self, target: Path) -> None:
        """Make ``target`` hold the finished artifact, and drop the checkpoints that led to it."""
        publish_folder(self.published, target)
        for path in self._checkpoints():
            path.unlink(missing_ok=True)

    def _checkpoints(self) -> list[Path]:
        """The newest first."""
        return sorted(self.path.glob("checkpoint-*.pt"), reverse=True)

    def __enter__(self) -> "CheckpointFolder":
        self.path.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._lock.unlink(missing_ok=True)

    def _take_lock(self) -> None:
        owner = {"host": socket.gethostname(), "process": os.getpid()}
        try:
            with open(self._lock, "x") as stream:
                json.dump(owner, stream)
        except FileExistsError:
            self._refuse_if_alive()
            log.info("taking over from a trainer that was killed")
            write_text(self._lock, json.dumps(owner))

    def _refuse_if_alive(self) -> None:
        try:
            owner = json.loads(self._lock.read_text())
            age = time.time() - self._lock.stat().st_mtime
        except (OSError, ValueError):
            return  # it was removed, or its writer died while writing
        gone = owner["host"] == socket.gethostname() and not _is_running(owner["process"])
        if not gone and age < _STALE_SECONDS:
            raise UserError(
                f"process {owner['process']} on {owner['host']} is training in {self.path}: "
                "wait for it, or stop it first"
            )

    def _beat(self) -> None:
        while not self._done.wait(_BEAT_SECONDS):
            try:
                os.utime(self._lock)
            except OSError as error:
                log.warning("cannot renew %s: %s", self._lock, error)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
