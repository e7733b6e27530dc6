"""Stored predictions of a classifier."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensis.artifacts.hdf5 import open_hdf5


@dataclass(frozen=True)
class Predicted:
    """Classes of the tested items."""

    classes: tuple[str, ...]
    label: np.ndarray
    """int64 (n,): index of the true class."""
    predicted: np.ndarray
    """int64 (n,): index of the predicted class."""
    confidence: np.ndarray | None
    """float32 (n,): probability of the predicted class; None for images, whose probabilities are not stored."""


def read_predicted(path: Path, task: str, suffix: str = "") -> Predicted | None:
    """Read predictions.h5.

    Args:
        path: the file.
        task: name of the task.
        suffix: that of its metrics: ``_k20``, or empty.

    Returns:
        None if there is no file, or no class predicted in it by one classifier.
    """
    if not path.exists():
        return None
    with open_hdf5(path) as file:
        if f"{task}/predicted{suffix}" not in file:
            return None
        group = file[task]
        stored = group.get(f"probabilities{suffix}")
        confidence = None if stored is None else stored[:].max(axis=1)
        return Predicted(
            tuple(json.loads(group.attrs["classes"])), group["label"][:], group[f"predicted{suffix}"][:], confidence
        )
