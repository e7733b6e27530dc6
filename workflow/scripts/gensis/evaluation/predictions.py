"""Files of predictions and of attention, for each task and tested item."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gensis.artifacts.hdf5 import open_hdf5, written_hdf5

FORMAT = "gensis-predictions/1"
ATTENTION_FORMAT = "gensis-attention/1"

Attention = dict[str, tuple[np.ndarray, np.ndarray, int]]
"""Tested slide -> rows of its images in the embeddings, int64 (n,), their attention, float32 (n,), and the number of
images in its bag, over which the attention sums to one: more than n if the bag has several slides."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions of one task, ordered by fold. All encoders and seeds have the same items in the same order."""

    classes: tuple[str, ...]
    """Empty for tasks that predict numbers, whose labels are not stored."""
    item: np.ndarray
    """int64 (n,): row of the image, or number of the slide, in the embeddings of the data set."""
    group: np.ndarray
    """int64 (n,): items of one patient, case or slide share a number."""
    fold: np.ndarray
    """int64 (n,): the fold that tested the item."""
    label: np.ndarray
    """int64 (n,): index into `classes`."""
    probabilities: Mapping[str, np.ndarray]
    """Suffix of a metric's name (``_k20``, or empty) -> class probabilities: float (n, K), or (n, R, K) of R draws."""
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name -> float (n,): scores of items, or predicted and true numbers, for tasks that predict no class."""
    names: tuple[str, ...] | None = None
    """Names of the slides, those of a bag joined by `+`. None for images, whose probabilities are not stored."""


def has_task(path: Path, task: str) -> bool:
    """Whether a file of predictions or attention exists and has a group for a task."""
    if not path.exists():
        return False
    with open_hdf5(path) as file:
        return task in file


def write_predictions(
    path: Path, tasks: Mapping[str, Predictions], attributes: Mapping[str, Any], kept: Collection[str] = ()
) -> None:
    """Write predictions.h5 atomically, one group per task. docs/artifacts.md lists the datasets.

    Args:
        path: file to write.
        tasks: task -> predictions.
        attributes: attributes of the file, besides `format`.
        kept: tasks whose groups are copied from the file that is replaced.
    """
    with written_hdf5(path) as file:
        _copy(path, kept, file)
        for task, predictions in tasks.items():
            _write(file.create_group(task), predictions)
        file.attrs.update({"format": FORMAT, **attributes})


def _copy(path: Path, names: Collection[str], target: h5py.Group) -> None:
    """Copy groups of a file."""
    if names:
        with open_hdf5(path) as file:
            for name in names:
                file.copy(name, target)


def _write(group: h5py.Group, predictions: Predictions) -> None:
    group.attrs["classes"] = json.dumps(predictions.classes)
    for name in ("item", "group", "fold", *(["label"] if predictions.classes else [])):
        group[name] = getattr(predictions, name).astype(np.int64)
    for suffix, probabilities in predictions.probabilities.items():
        name = "predicted" if probabilities.ndim == 2 else "drawn"
        group[f"{name}{suffix}"] = probabilities.argmax(-1)
        if predictions.names is not None:
            group[f"probabilities{suffix}"] = probabilities.astype(np.float32)
    for name, score in predictions.scores.items():
        group[name] = score.astype(np.float32)
    if predictions.names is not None:
        group.create_dataset("unit", data=np.array(predictions.names, object), dtype=h5py.string_dtype())


def write_attention(
    path: Path,
    tasks: Mapping[str, Attention],
    *,
    coords: np.ndarray,
    attributes: Mapping[str, Any],
    kept: Collection[str] = (),
) -> None:
    """Write attention.h5 atomically: attention of slide classifiers. docs/artifacts.md lists the datasets.

    Args:
        path: file to write.
        tasks: task -> attention.
        coords: int64 (N, 2): coordinates of all images in the embeddings.
        attributes: attributes of the file, besides `format`.
        kept: tasks whose groups are copied from the file that is replaced.
    """
    with written_hdf5(path) as file:
        _copy(path, ["coords", *kept] if kept else [], file)
        places = file.require_group("coords")
        for task, attention in tasks.items():
            group = file.create_group(task)
            for slide, (rows, weights, bag_images) in attention.items():
                group[slide] = weights.astype(np.float32)
                group[slide].attrs["bag_images"] = bag_images
                if slide not in places:
                    places[slide] = coords[rows].astype(np.int64)
        file.attrs.update({"format": ATTENTION_FORMAT, **attributes})
