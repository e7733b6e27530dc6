"""Paired comparisons of encoders over the items that both were tested on with one seed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from gensis.artifacts.hdf5 import open_hdf5
from gensis.errors import UserError
from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.metrics import accuracy, balanced_accuracy
from gensis.evaluation.paired import Pair
from gensis.evaluation.predictions import FORMAT
from gensis.evaluation.statistics import Estimate, mcnemar_p
from gensis.evaluation.weighted import Cells

METRICS = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy}
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


def compare_over_items(
    answers: Mapping[str, Answers], pairs: Sequence[Pair], resamples: int
) -> Iterator[tuple[Pair, str, Estimate]]:
    """Differences of accuracy and balanced accuracy, with bootstrap intervals over the tested groups.

    Accuracy has McNemar's test too, if no two items share a group: the test assumes independent items.

    Args:
        answers: encoder -> predicted classes of one task, of the same items for all encoders.
        pairs: pairs of encoders to compare; pairs with an encoder without predictions are left out.
        resamples: resamples of the bootstrap; 0 for no intervals.

    Yields:
        Pair, metric (such as `accuracy_k20`) and estimate.

    Raises:
        UserError: the encoders were not tested on the same items.
    """
    items = _same_items(answers)
    known = [pair for pair in pairs if {pair.encoder, pair.baseline} <= answers.keys()]
    independent = len(np.unique(items.group)) == len(items.group)
    cells = {encoder: _cells(each) for encoder, each in answers.items()}
    bounds = intervals(lambda weights: _differences(cells, known, weights), items.group, resamples)
    for (pair, metric), (value,) in _differences(cells, known, np.ones((len(items.label), 1))).items():
        low, high = bounds.get((pair, metric), (math.nan, math.nan))
        tested = independent and metric.startswith("accuracy")
        p, test = (_mcnemar(answers, pair, metric), "mcnemar") if tested else (math.nan, "")
        interval = "bootstrap" if bounds else ""
        estimate = Estimate(
            n=len(items.label), difference=float(value), low=low, high=high, interval=interval, p=p, test=test
        )
        yield pair, metric, estimate


def _same_items(answers: Mapping[str, Answers]) -> Answers:
    first, *others = answers.values()
    for encoder, other in zip(list(answers)[1:], others):
        if not (np.array_equal(other.item, first.item) and np.array_equal(other.label, first.label)):
            raise UserError(f"predictions of '{encoder}' are not of the same items as others: delete them and rerun")
    return first


def _cells(answers: Answers) -> dict[str, Cells]:
    """The items of an encoder, merged by true and predicted class, for each suffix."""
    return {suffix: Cells(answers.label, predicted) for suffix, predicted in answers.predicted.items()}


def _differences(
    cells: Mapping[str, Mapping[str, Cells]], pairs: Sequence[Pair], weights: np.ndarray
) -> dict[tuple[Pair, str], np.ndarray]:
    """Difference of each metric of each pair under (n, B) weights: (B,) each."""
    measured = {encoder: _measured(of_encoder, weights) for encoder, of_encoder in cells.items()}
    return {
        (pair, metric): ours - measured[pair.baseline][metric]
        for pair in pairs
        for metric, ours in measured[pair.encoder].items()
        if metric in measured[pair.baseline]
    }


def _measured(cells: Mapping[str, Cells], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric of an encoder under (n, B) weights: (B,) each."""
    return {
        name + suffix: values
        for suffix, merged in cells.items()
        for name, values in merged.measured(METRICS, weights).items()
    }


def _mcnemar(answers: Mapping[str, Answers], pair: Pair, metric: str) -> float:
    suffix = metric.removeprefix("accuracy")
    ours, theirs = (answers[name] for name in (pair.encoder, pair.baseline))
    return mcnemar_p(ours.predicted[suffix] == ours.label, theirs.predicted[suffix] == theirs.label)
