"""Predicted classes of the tested items, read from predictions.h5."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from gensis.artifacts.hdf5 import open_hdf5
from gensis.evaluation.predictions import FORMAT

_PREDICTED = "predicted"


@dataclass(frozen=True)
class Answers:
    """Predicted classes of the tested items, for one encoder and task."""

    item: np.ndarray
    label: np.ndarray
    group: np.ndarray
    """int64 (n,) each, as in predictions.h5."""
    predicted: Mapping[str, np.ndarray]
    """Suffix of the metrics' names (``_k20``, or empty) -> int64 (n,) predicted classes."""


def read_answers(path: Path) -> dict[str, Answers]:
    """Read predictions.h5: task -> predicted classes. Tasks that predict no class are left out."""
    with open_hdf5(path, FORMAT) as file:
        return {task: _read(group) for task, group in file.items() if any(map(_is_predicted, group))}


def _is_predicted(name: str) -> bool:
    return name.startswith(_PREDICTED)


def _read(group: h5py.Group) -> Answers:
    predicted = {name.removeprefix(_PREDICTED): group[name][:] for name in group if _is_predicted(name)}
    return Answers(*(group[name][:] for name in ("item", "label", "group")), predicted)
