"""What each task said of each tested item, as a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gensis.artifacts.files import written_atomically

FORMAT = "gensis-predictions/1"


@dataclass(frozen=True)
class Predictions:
    """Of one task, fold by fold; all encoders and seeds of a data set have the same items in the same order."""

    classes: tuple[str, ...]
    item: np.ndarray
    """int64 (n,): row of the image in the embeddings of the data set, or number of the slide in them."""
    group: np.ndarray
    """int64 (n,): items of one patient, case or slide share a number."""
    fold: np.ndarray
    """int64 (n,): the fold that tested the item."""
    label: np.ndarray
    """int64 (n,): index into `classes`."""
    probabilities: Mapping[str, np.ndarray]
    """Suffix of a metric's name (``_k20``, or empty) -> float (n, K) class probabilities."""
    names: tuple[str, ...] | None = None
    """Of the slides; None if the items are images, of which too many are tested to keep their probabilities."""


def write_predictions(path: Path, tasks: Mapping[str, Predictions], attributes: Mapping[str, Any]) -> None:
    """Write a group a task atomically: docs/artifacts.md lists the datasets.

    Args:
        path: the file to make.
        tasks: name -> its predictions.
        attributes: of the file, beside `format`.
    """
    with written_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        for task, predictions in tasks.items():
            _write(file.create_group(task), predictions)
        file.attrs.update({"format": FORMAT, **attributes})


def _write(group: h5py.Group, predictions: Predictions) -> None:
    group.attrs["classes"] = json.dumps(predictions.classes)
    for name in ("item", "group", "fold", "label"):
        group[name] = getattr(predictions, name).astype(np.int64)
    for suffix, probabilities in predictions.probabilities.items():
        group[f"predicted{suffix}"] = probabilities.argmax(1)
        if predictions.names is not None:
            group[f"probabilities{suffix}"] = probabilities.astype(np.float32)
    if predictions.names is not None:
        group.create_dataset("unit", data=np.array(predictions.names, object), dtype=h5py.string_dtype())
