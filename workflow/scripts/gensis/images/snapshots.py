"""Snapshots: embeddings of a fixed set of training images at several training steps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensis.artifacts.files import write_saved
from gensis.artifacts.hdf5 import open_hdf5, reading, written_hdf5

FORMAT = "gensis-snapshots/1"


@dataclass(frozen=True)
class Snapshots:
    """L snapshots of n images."""

    rows: np.ndarray
    """int64 (n,): rows of the train split."""
    steps: np.ndarray
    """int64 (L,), ascending."""
    features: np.ndarray
    """float16 (L, n, D), each embedding of length 1."""


def add_snapshot(folder: Path, step: int, features: np.ndarray) -> None:
    """Store one snapshot, (n, D), until the training ends. It survives a killed job; the same step replaces it."""
    write_saved(folder / f"{step:09d}.npy", lambda stream: np.save(stream, features.astype(np.float16)))


def write_snapshots(path: Path, rows: np.ndarray, folder: Path) -> None:
    """Write all snapshots that `add_snapshot` stored in ``folder`` as one file."""
    snapshots = sorted(folder.glob("*.npy"))
    with written_hdf5(path) as file:
        file["rows"] = rows.astype(np.int64)
        file["steps"] = np.array([int(snapshot.stem) for snapshot in snapshots], np.int64)
        file["features"] = np.stack([np.load(snapshot) for snapshot in snapshots])
        file.attrs["format"] = FORMAT


def read_snapshots(path: Path) -> Snapshots:
    """Read the file that `write_snapshots` wrote.

    Raises:
        UserError: the file is missing, or is not a file of snapshots.
    """
    with open_hdf5(path, FORMAT) as file, reading(path):
        return Snapshots(file["rows"][:], file["steps"][:], file["features"][:])
