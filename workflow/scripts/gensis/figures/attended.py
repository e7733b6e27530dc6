"""Stored attention of slide classifiers, with what they predicted."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from gensis.artifacts.hdf5 import open_hdf5
from gensis.figures.markup import text


@dataclass(frozen=True)
class SlideAttention:
    """Attention over one test slide."""

    name: str
    coords_level0: np.ndarray
    """int64 (n, 2): top-left corners of its tiles."""
    weights: np.ndarray
    """float32 (n,): attention weight of each tile."""
    bag_images: int
    """Number of tiles in its bag, over which the weights sum to one."""

    @property
    def relative(self) -> np.ndarray:
        """float32 (n,): the weights as multiples of uniform attention."""
        return self.weights * self.bag_images


def attending_tasks(path: Path) -> list[str]:
    """Tasks with attention over any slide in attention.h5; empty if there is no file."""
    if not path.exists():
        return []
    with open_hdf5(path) as file:
        return [task for task in file if task != "coords" and len(file[task])]


def slides_of(path: Path, task: str) -> list[str]:
    """Names of the slides with attention."""
    with open_hdf5(path) as file:
        return list(file[task])


def read_attention(path: Path, task: str, names: list[str]) -> Iterator[SlideAttention]:
    """Attention over some slides, one by one."""
    with open_hdf5(path) as file:
        for name in names:
            weights = file[task][name]
            bag_images = int(weights.attrs.get("bag_images", len(weights)))  # earlier files do not state it
            yield SlideAttention(name, file["coords"][name][:], weights[:], bag_images)


@dataclass(frozen=True)
class Tested:
    """The outcome of a test slide."""

    label: str
    """Its class; empty for tasks that predict numbers."""
    caption: str
    """What was known and what was predicted, as markup."""


def read_tested(predictions: Path, task: str) -> dict[str, Tested]:
    """Test slide -> its outcome, of all slides of each bag; empty without predictions."""
    if not predictions.exists():
        return {}
    with open_hdf5(predictions) as file:
        group = file[task]
        outcomes = _classes(group) if "predicted" in group else _numbers(group)
        bags = zip(group["unit"].asstr()[:], outcomes)
        return {name: outcome for bag, outcome in bags for name in bag.split("+")}


def _classes(group: h5py.Group) -> Iterator[Tested]:
    classes = json.loads(group.attrs["classes"])
    for label, predicted, shares in zip(group["label"][:], group["predicted"][:], group["probabilities"][:]):
        guess = f"predicted {text(classes[predicted])} ({shares[predicted]:.0%})"
        yield Tested(classes[label], f"label {text(classes[label])}, {guess}")


def _numbers(group: h5py.Group) -> Iterator[Tested]:
    if "risk" in group:
        for time, event, risk in zip(group["time"][:], group["event"][:], group["risk"][:]):
            yield Tested("", f"{'event at' if event else 'observed until'} {time:g}, predicted log risk {risk:+.2f}")
    else:
        for value, estimate in zip(group["value"][:], group["estimate"][:]):
            yield Tested("", f"value {value:g}, predicted {estimate:.3g}")
