"""Evaluation protocols: the items that are trained on and tested in each round."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gensis.errors import UserError
from gensis.evaluation.folds import Round, Unmeasurable, grouped_folds

_FEWEST_GROUPS = 4
"""With fewer, a fold cannot both train and be tested on several values."""


@dataclass(frozen=True)
class Protocol:
    """Rounds of training and testing; each item is tested at most once."""

    name: str
    rounds: tuple[Round, ...]
    """(train, test) indices."""
    transductive: bool
    """There is no test split: the encoder was trained on the tested images, without labels."""

    @property
    def train(self) -> np.ndarray:
        """Indices of all items that are trained on in some round."""
        return np.unique(np.concatenate([train for train, _ in self.rounds]))

    @property
    def test(self) -> np.ndarray:
        """Indices of all tested items, in the order of the rounds."""
        return np.concatenate([test for _, test in self.rounds])

    @property
    def smallest_train(self) -> int:
        """Number of training items of the round that has fewest."""
        return min(len(train) for train, _ in self.rounds)

    @property
    def fold(self) -> np.ndarray:
        """Number of the round in which each item of `test` is tested."""
        return np.repeat(np.arange(len(self.rounds)), [len(test) for _, test in self.rounds])

    def unlearnt(self, labels: np.ndarray) -> np.ndarray:
        """Classes that are tested in a round but missing in its training part, so that no prediction can be correct.

        Args:
            labels: int (N,) of all items.
        """
        return np.unique(np.concatenate([np.setdiff1d(labels[test], labels[train]) for train, test in self.rounds]))


def plan(labels: np.ndarray, groups: np.ndarray, splits: np.ndarray, folds: int) -> Protocol:
    """Train on the train split and test on the test split; without a test split, cross-validate by group.

    Args:
        labels: int (N,).
        groups: int (N,).
        splits: str (N,): ``train``, ``test`` or empty.
        folds: largest number of folds of a cross-validation.

    Raises:
        Unmeasurable: there are no labels, or too few classes or groups.
        UserError: a group is in both train and test.
    """
    if not len(labels):
        raise Unmeasurable("no labels")
    if len(np.unique(labels)) < 2:
        raise Unmeasurable("fewer than two classes")
    train, test = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "test")
    planned = _planned(labels, groups, (train, test), folds)
    for name, part in {"train": train, "test": test}.items() if len(test) else ():
        if len(np.unique(labels[part])) < 2:
            raise Unmeasurable(f"fewer than two classes among the labels of the {name} split")
    return planned


def _planned(strata: np.ndarray, groups: np.ndarray, split: Round, folds: int) -> Protocol:
    train, test = split
    if not len(test):
        rounds = grouped_folds(strata, groups, folds)
        return Protocol(f"{len(rounds)}-fold cross-validation by group", tuple(rounds), transductive=True)
    if np.intersect1d(groups[train], groups[test]).size:
        raise UserError("labels: a group is in both train and test: assign all of its images to one split")
    return Protocol("train -> test", (split,), transductive=False)


def plan_numbers(strata: np.ndarray, groups: np.ndarray, splits: np.ndarray, folds: int) -> Protocol:
    """As `plan`, for items with a number instead of a class.

    Args:
        strata: int (N,), of which folds have equal shares.
        groups: int (N,).
        splits: str (N,): ``train``, ``test`` or empty.
        folds: largest number of folds of a cross-validation.

    Raises:
        Unmeasurable: there are too few items or groups.
        UserError: a group is in both train and test.
    """
    train, test = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "test")
    whole = {"": np.arange(len(groups))}
    for where, part in ({" of the train split": train, " of the test split": test} if len(test) else whole).items():
        if len(np.unique(groups[part])) < _FEWEST_GROUPS:
            raise Unmeasurable(f"fewer than {_FEWEST_GROUPS} groups (patients, cases){where} have a value")
    return _planned(strata, groups, (train, test), folds)


def leave_group_out(protocol: Protocol) -> Protocol:
    """Replace a cross-validation for tasks without training: each item is tested against all items of other groups."""
    if not protocol.transductive:
        return protocol
    everything = protocol.train
    return Protocol("leave-group-out", ((everything, everything),), transductive=True)


def pooled(
    protocol: Protocol, predict: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Predictions of all rounds, concatenated, for the items of ``protocol.test``.

    Args:
        protocol: rounds of training and testing.
        predict: function of (train, test) indices: name -> float (n_test, K) class probabilities.
    """
    parts = [predict(train, test) for train, test in protocol.rounds]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
