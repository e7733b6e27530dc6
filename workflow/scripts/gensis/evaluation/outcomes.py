"""Outcomes that are numbers: values of a regression, and times of survival."""

from dataclasses import dataclass

import numpy as np

from gensis.evaluation.bags import Slides


@dataclass(frozen=True)
class Survival:
    """Times until an event, some of which are only known to be longer (right-censored)."""

    time: np.ndarray
    """float64 (N,)."""
    event: np.ndarray
    """bool (N,): whether the event was observed at this time. Otherwise observation ended before it."""

    @classmethod
    def of(cls, items: Slides) -> "Survival":
        """Read the labels of items, such as `31.5`, or `31.5+` without an event."""
        texts = [items.classes[label] for label in items.labels]
        return cls(
            np.array([float(text.removesuffix("+")) for text in texts]),
            np.array([not text.endswith("+") for text in texts], bool),
        )

    def __getitem__(self, which: np.ndarray | slice) -> "Survival":
        return Survival(self.time[which], self.event[which])

    @property
    def strata(self) -> np.ndarray:
        """int64 (N,): items with an event and without, early and late, of which folds should have equal shares."""
        return 2 * self.event + halves(self.time)


def values_of(items: Slides) -> np.ndarray:
    """Read the labels of items as numbers: float64 (N,)."""
    return np.array([float(items.classes[label]) for label in items.labels])


def halves(values: np.ndarray) -> np.ndarray:
    """Whether each of float (N,) values is in the upper half: int64 (N,), of which folds should have equal shares.

    Where many values are equal, the first of them are in the lower half, so that the halves have the same size.
    """
    return 2 * np.argsort(np.argsort(values, kind="stable")) // len(values)
