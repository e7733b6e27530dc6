"""Checkpoints that persist across jobs, are keyed by all inputs of a training, and are locked by one process."""

import hashlib
import json
import logging
import os
import shutil
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import torch

from gensis.artifacts.files import written_atomically
from gensis.artifacts.folders import damage, publish_folder
from gensis.errors import UserError
from gensis.training.lock import FolderLock, is_lock

log = logging.getLogger(__name__)
_CHECKPOINTS = "checkpoint-*.pt"
_BLOCK_BYTES = 1 << 22
_SUM_BYTES = 4
RETRAIN = "GENSIS_RETRAIN"
"""Environment variable: the stage to retrain although it has results."""
STAGES = ("autoencoder", "diffusion", "encoder")


def fingerprint(
    settings: dict[str, Any],
    inputs: dict[str, str],
    *,
    seed: int,
    device: torch.device,
    recipe: int,
    threads: int | None = None,
) -> str:
    """Hash of everything that decides the weights, 16 hexadecimal digits.

    It does not include the number of processes: they share one batch, so a training can resume with more or fewer GPUs.

    Args:
        settings: the stage's settings.
        inputs: name -> content id of all training data.
        seed: of the training.
        device: results on a CPU depend on the number of threads, which is included.
        recipe: version of the training code: `RECIPE` in its package.
        threads: of a CPU; None: those that torch uses now.
    """
    where = f"cpu-{threads or torch.get_num_threads()}" if device.type == "cpu" else device.type
    text = json.dumps([settings, inputs, seed, where, recipe], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class CheckpointFolder:
    """The folder of a training: `checkpoint-<step>.pt` while it runs, `published/` when it is done.

    Used as a context manager, it locks the folder for this process.
    """

    def __init__(self, root: Path, stage: str, fingerprint: str, keep: int = 1):
        """Folder of a training that keeps its last ``keep`` checkpoints."""
        self.path = Path(root) / stage / fingerprint
        self.stage, self.fingerprint = stage, fingerprint
        self._keep = keep
        self._damaged: set[Path] = set()

    @property
    def published(self) -> Path:
        """Folder of the finished artifact; complete if it exists."""
        return self.path / "published"

    @property
    def superseded(self) -> Path:
        """Folder of the previous artifact while a new training runs that replaces it."""
        return self.path / "superseded"

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint of ``state["step"]``, then remove those that `load` found damaged, and older ones than
        the last ``keep``."""
        written = self.path / f"checkpoint-{state['step']:09d}.pt"
        with written_atomically(written) as temporary:
            _save({"fingerprint": self.fingerprint, **state}, temporary)
        damaged = self._damaged - {written}
        whole = [path for path in self._checkpoints() if path not in {written, *damaged}]
        for path in (*damaged, *whole[self._keep - 1 :]):
            _remove(path)
        self._damaged.clear()

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, or None. Its tensors are on the CPU, so that a GPU does not hold the state twice.

        A damaged checkpoint, even by one bit, is skipped and the one before it is used. The next `save` removes it: by
        then, no other process of the training reads it.

        Raises:
            UserError: all checkpoints are damaged, or one belongs to another training.
            OSError: one cannot be read now. It may be whole, so it is neither skipped nor to be removed.
        """
        paths = self._checkpoints()
        for path in paths:
            if not _is_whole(path):
                log.warning("WARNING: %s is damaged: using the checkpoint before it", path)
                self._damaged.add(path)
                continue
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state.pop("fingerprint") != self.fingerprint:
                raise UserError(f"{path} belongs to another training: move it elsewhere and run again")
            return state
        if paths:
            raise UserError(f"all checkpoints in {self.path} are damaged: remove them to start again")
        return None

    def warn_of_others(self, fingerprints: dict[int, str]) -> None:
        """Log a warning if the training starts at step 0, and has checkpoints with another number of CPU threads.

        Args:
            fingerprints: number of threads -> fingerprint of the training with so many.
        """
        others = {threads: self.path.with_name(name) for threads, name in fingerprints.items()}
        found = [(threads, path) for threads, path in others.items() if any(path.glob(_CHECKPOINTS))]
        if found and not self._checkpoints():
            threads, path = found[-1]
            log.warning(
                "WARNING: starting at step 0, since this job has %d CPU threads, and %s has checkpoints of the same "
                "training with %d: to resume it, stop this job, and run again with --cores %d",
                torch.get_num_threads(),
                path,
                threads,
                threads,
            )

    def has_result(self) -> bool:
        """Whether there is a complete result to publish; if not, a training may start or resume.

        A result that is damaged, or that GENSIS_RETRAIN asks to replace, is first moved to `superseded`. It stays there
        until the new result is published. While it is there, GENSIS_RETRAIN has no further effect, so that a killed job
        resumes the training that it started.

        Raises:
            UserError: GENSIS_RETRAIN is not the name of a stage.
            OSError: the result cannot be read now. It may be whole, so nothing is trained in its place.
        """
        retrain = _is_to_be_retrained(self.stage)
        if not self.published.exists():
            return False
        if retrain and not self.superseded.exists():
            log.info("%s: retraining; the previous result stays in %s until then", RETRAIN, self.superseded)
            self._remove_all_but(self.published)  # the new training must not resume from the old one
            self._set_aside()
        elif problems := [f"{path}: {reason}" for path, reason in damage(self.published, is_listing=False)]:
            log.warning("WARNING: %s: retraining this result", "; ".join(problems))
            self._set_aside()
        return self.published.exists()

    def begin(self) -> Path:
        """Create an empty folder for the artifact of a training."""
        unfinished = self.path / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)  # left by a killed job
        unfinished.mkdir()
        return unfinished

    def publish(self, target: Path) -> None:
        """Publish the finished artifact to ``target``, and remove checkpoints and the superseded artifact."""
        publish_folder(self.published, target)
        self._remove_all_but(self.published)

    def _set_aside(self) -> None:
        if self.superseded.exists():  # complete, unlike the artifact that was to replace it
            shutil.rmtree(self.published)
        else:
            self.published.rename(self.superseded)

    def _remove_all_but(self, kept: Path) -> None:
        for path in self.path.iterdir():
            if path != kept and not is_lock(path):
                _remove(path)

    def _checkpoints(self) -> list[Path]:
        """Paths of the checkpoints, newest first."""
        return sorted(self.path.glob(_CHECKPOINTS), reverse=True)

    def __enter__(self) -> "CheckpointFolder":
        self._lock = FolderLock(self.path)
        self._lock.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.__exit__(*exception)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _is_to_be_retrained(stage: str) -> bool:
    """Whether GENSIS_RETRAIN asks to retrain this stage.

    Raises:
        UserError: it is not the name of a stage.
    """
    asked = os.environ.get(RETRAIN, "")
    if asked and asked not in STAGES:
        raise UserError(f"{RETRAIN} = {asked} is not a training: set it to one of {', '.join(STAGES)}, or unset it")
    return asked == stage


class _FileWithChecksum:
    """A file being written, with the CRC-32 of its content."""

    def __init__(self, stream: BinaryIO):
        self._stream, self.sum = stream, 0

    def write(self, block: bytes | memoryview) -> int:
        self.sum = zlib.crc32(block, self.sum)
        return self._stream.write(block)

    def flush(self) -> None:
        self._stream.flush()


def _save(state: dict[str, Any], path: Path) -> None:
    """torch.save, and append the CRC-32 of the file, which torch.load ignores.

    Training waits for this, and SHA-256 takes ten times as long on some processors. torch's own CRCs do not cover the
    directory of the file, where a flipped bit can change weights too.
    """
    with open(path, "wb") as stream:
        checked = _FileWithChecksum(stream)
        torch.save(state, checked)
        stream.write(checked.sum.to_bytes(_SUM_BYTES))


def _is_whole(path: Path) -> bool:
    """Whether the file ends with the CRC-32 of its content: torch would load flipped bits without an error."""
    checksum = 0
    try:
        left = path.stat().st_size - _SUM_BYTES
        if left <= 0:
            return False
        with open(path, "rb") as stream:
            while block := stream.read(min(left, _BLOCK_BYTES)):
                checksum = zlib.crc32(block, checksum)
                left -= len(block)
            return stream.read() == checksum.to_bytes(_SUM_BYTES)
    except IsADirectoryError:
        return False
