"""Paired comparisons of encoders over the items that both were tested on with one seed."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gensis.errors import UserError
from gensis.evaluation.answers import Answers
from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.group_flips import flip_groups
from gensis.evaluation.metrics import accuracy, balanced_accuracy
from gensis.evaluation.paired import Pair
from gensis.evaluation.statistics import Estimate, mcnemar_p
from gensis.evaluation.weighted import Cells

METRICS = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy}


def compare_over_items(
    answers: Mapping[str, Answers], pairs: Sequence[Pair], resamples: int, *, trained: bool = True
) -> Iterator[tuple[Pair, str, Estimate]]:
    """Differences of accuracy and balanced accuracy, with bootstrap intervals over the tested groups.

    Accuracy has McNemar's test too, if no two items share a group: the test assumes independent items.

    Args:
        answers: encoder -> predicted classes of one task, of the same items for all encoders.
        pairs: pairs of encoders to compare; pairs with an encoder without predictions are left out.
        resamples: resamples of the bootstrap; 0 for no intervals.
        trained: False if no encoder was trained. Then there is no variation between trainings, and balanced accuracy
            has a sign-flip test over the groups (see `group_flips`).

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
    flipped = {} if trained else flip_groups(answers, known)
    for (pair, metric), (value,) in _differences(cells, known, np.ones((len(items.label), 1))).items():
        low, high = bounds.get((pair, metric), (math.nan, math.nan))
        p, test = flipped.get((pair, metric), math.nan), "sign-flip" if (pair, metric) in flipped else ""
        if independent and metric.startswith("accuracy"):
            p, test = _mcnemar(answers, pair, metric), "mcnemar"
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
