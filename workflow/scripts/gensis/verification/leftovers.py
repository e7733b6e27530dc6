"""Files that a run has left and no job needs: checkpoints of finished or superseded trainings, and temporary files."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gensis.artifacts.checksums import NAME
from gensis.artifacts.files import read_json
from gensis.artifacts.folders import PROVENANCE
from gensis.artifacts.temporary import temporary_files
from gensis.training.lock import is_lock

_IN_USE_SECONDS = 3600
"""A lock or temporary file that changed within this time may belong to a job; a training renews its lock every 30 s."""


@dataclass(frozen=True)
class Leftover:
    """A folder or file that may be removed."""

    path: Path
    why: str

    @property
    def size_bytes(self) -> int:
        """Size of all its files."""
        return sum(path.lstat().st_size for path in (self.path, *self.path.rglob("*")) if not path.is_dir())


def leftovers(run: Path, images: Iterable[Path], checkpoints: Path, *, is_trained: bool) -> list[Leftover]:
    """List what may be removed.

    Args:
        run: folder of the run.
        images: folders of its data sets.
        checkpoints: root of the checkpoint folders. If it is not below ``run``, other runs may use it too, and only
            copies of this run's results are listed there.
        is_trained: whether all models and banks of the study exist. If not, a job may still resume any training, or
            publish it.
    """
    found = [each for folder in (run, *images) for each in _temporary(folder)]
    results = {checksum: path.parent for path in _provenances(run, checkpoints) if (checksum := _checksum(path))}
    for folder in sorted(checkpoints.glob("*/*")):
        why = _why(folder, results, is_own=run in checkpoints.parents, is_trained=is_trained)
        if why and not any(_is_in_use(path) for path in folder.iterdir() if is_lock(path)):
            found.append(Leftover(folder, why))
    return found


def _temporary(folder: Path) -> Iterator[Leftover]:
    for path in sorted(temporary_files(folder)):
        if not _is_in_use(path):
            yield Leftover(path, "temporary file of a killed job")


def _why(folder: Path, results: dict[str, Path], *, is_own: bool, is_trained: bool) -> str | None:
    """Why a checkpoint folder may be removed; None if it may not."""
    published = folder / "published" / PROVENANCE
    if published.exists():
        if result := results.get(_checksum(published) or ""):
            return f"finished: a copy of {result}"
        state = "finished with other settings or inputs"
    else:
        state = "unfinished"
    # Until all results exist, a training may be the only copy of one that could not be published, on a full disk.
    return f"superseded: {state}, and all models and banks of the study exist" if is_own and is_trained else None


def _provenances(run: Path, checkpoints: Path) -> list[Path]:
    return [path for path in run.rglob(PROVENANCE) if checkpoints not in path.parents]


def _checksum(path: Path) -> str | None:
    try:
        return read_json(path)[NAME]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_in_use(path: Path) -> bool:
    """Whether a file changed lately by the clock of its file system, from which this machine's may differ."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as now:
            return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime < _IN_USE_SECONDS
    except FileNotFoundError:
        return False
