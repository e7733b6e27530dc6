"""Checkpoints that outlive jobs, are keyed by all that decides the result, and are never shared by two trainers."""

import hashlib
import json
import logging
import os
import shutil
import socket
import threading
import time
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import torch

from gensis.artifacts.files import write_text, written_atomically
from gensis.artifacts.folders import damage, publish_folder
from gensis.errors import UserError

log = logging.getLogger(__name__)
_BEAT_SECONDS = 30
_BLOCK_BYTES = 1 << 22
_SUM_BYTES = 4
_STALE_SECONDS = 300
RETRAIN = "GENSIS_RETRAIN"
"""Environment variable: the stage whose results are to be trained anew, although there are some."""
STAGES = ("autoencoder", "diffusion", "encoder")


def fingerprint(settings: dict[str, Any], inputs: dict[str, str], seed: int, device: torch.device, recipe: int) -> str:
    """What decides the weights, as 16 hexadecimal digits.

    The number of processes is no part of it: they share one batch, so that a training goes on with more or fewer GPUs.

    Args:
        settings: the stage's settings.
        inputs: name -> content id of everything that is learnt from.
        seed: of the training.
        device: a CPU's result depends on its number of threads, so they count there.
        recipe: version of the code that trains: `RECIPE` in its package.
    """
    where = f"cpu-{torch.get_num_threads()}" if device.type == "cpu" else device.type
    text = json.dumps([settings, inputs, seed, where, recipe], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class CheckpointFolder:
    """One training's folder: `checkpoint-<step>.pt` while it runs, `published/` when it is done.

    A context manager: inside it, this process alone works in the folder.
    """

    def __init__(self, root: Path, stage: str, fingerprint: str, keep: int = 1):
        """Name the folder of a training, of which the last ``keep`` checkpoints stay."""
        self.path = Path(root) / stage / fingerprint
        self.stage, self.fingerprint = stage, fingerprint
        self._keep = keep
        self._lock = self.path / "lock.json"
        self._done = threading.Event()

    @property
    def published(self) -> Path:
        """The finished artifact; complete if it exists."""
        return self.path / "published"

    @property
    def superseded(self) -> Path:
        """What was published before, while a training runs that takes its place."""
        return self.path / "superseded"

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint of ``state["step"]``, then remove those that are too old."""
        with written_atomically(self.path / f"checkpoint-{state['step']:09d}.pt") as temporary:
            _save({"fingerprint": self.fingerprint, **state}, temporary)
        for old in self._checkpoints()[self._keep :]:
            old.unlink(missing_ok=True)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The last checkpoint, or None.

        One that the disk has damaged, even by a bit, is passed over for the one before it.

        Raises:
            UserError: all are damaged, or another training wrote it.
        """
        paths = self._checkpoints()
        for path in paths:
            if not _is_whole(path):
                log.warning("WARNING: %s is damaged: it is passed over for the checkpoint before it", path)
                continue
            state = torch.load(path, map_location=device, weights_only=True)
            if state.pop("fingerprint") != self.fingerprint:
                raise UserError(f"{path} belongs to another training: remove it")
            return state
        if paths:
            raise UserError(f"no checkpoint in {self.path} can be read: remove them to begin anew")
        return None

    def has_result(self) -> bool:
        """Whether a whole result is there to be published; if not, a training may begin or go on.

        A result that is damaged, or that GENSIS_RETRAIN asks to replace, becomes `superseded` first. It stays until
        the new one is published, and as long as it is there, GENSIS_RETRAIN asks for nothing more: a job that was
        killed goes on with the training that it began.

        Raises:
            UserError: GENSIS_RETRAIN names no stage.
        """
        anew = _is_to_be_retrained(self.stage)
        if not self.published.exists():
            return False
        if problems := [f"{path}: {reason}" for path, reason in damage(self.published)]:
            log.warning("WARNING: %s: this result is trained anew", "; ".join(problems))
            self._set_aside()
        elif anew and not self.superseded.exists():
            log.info("%s: trained anew; the result so far stays in %s until then", RETRAIN, self.superseded)
            self._remove_all_but(self.published)  # no new training goes on from what is left of the old one
            self._set_aside()
        return self.published.exists()

    def begin(self) -> Path:
        """An empty folder for the finished artifact of a training."""
        unfinished = self.path / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)  # a killed job may have left half of one
        unfinished.mkdir()
        return unfinished

    def publish(self, target: Path) -> None:
        """Make ``target`` hold the finished artifact, and drop all else that led to it or that it replaces."""
        publish_folder(self.published, target)
        self._remove_all_but(self.published)

    def _set_aside(self) -> None:
        if self.superseded.exists():  # and whole, unlike what was to take its place
            shutil.rmtree(self.published)
        else:
            self.published.rename(self.superseded)

    def _remove_all_but(self, kept: Path) -> None:
        for path in self.path.iterdir():
            if path not in (kept, self._lock):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

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


def _is_to_be_retrained(stage: str) -> bool:
    """Whether the environment asks for a new training of this stage.

    Raises:
        UserError: it names no stage.
    """
    asked = os.environ.get(RETRAIN, "")
    if asked and asked not in STAGES:
        raise UserError(f"{RETRAIN} = {asked} names no training: set it to one of {', '.join(STAGES)}, or to nothing")
    return asked == stage


class _Summed:
    """A file that is written, with the CRC-32 of what went into it."""

    def __init__(self, stream: BinaryIO):
        self._stream, self.sum = stream, 0

    def write(self, block: bytes | memoryview) -> int:
        self.sum = zlib.crc32(block, self.sum)
        return self._stream.write(block)

    def flush(self) -> None:
        self._stream.flush()


def _save(state: dict[str, Any], path: Path) -> None:
    """torch.save, and at the end of the file its CRC-32, which torch.load does not mind.

    Training waits for it: a SHA-256 takes ten times as long on some processors. Those CRCs that torch writes leave out
    the directory of the file, where a flipped bit can make other weights, too.
    """
    with open(path, "wb") as stream:
        summed = _Summed(stream)
        torch.save(state, summed)
        stream.write(summed.sum.to_bytes(_SUM_BYTES))


def _is_whole(path: Path) -> bool:
    """Whether the file ends with the CRC-32 of all before: torch would take a flipped bit for a weight."""
    found = 0
    try:
        left = path.stat().st_size - _SUM_BYTES
        if left <= 0:
            return False
        with open(path, "rb") as stream:
            while block := stream.read(min(left, _BLOCK_BYTES)):
                found = zlib.crc32(block, found)
                left -= len(block)
            return stream.read() == found.to_bytes(_SUM_BYTES)
    except OSError:
        return False
