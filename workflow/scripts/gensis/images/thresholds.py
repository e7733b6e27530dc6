"""Which tiles of a slide's store are used, by thresholds on their scores."""

import operator
from collections.abc import Iterator

import numpy as np

from gensis.errors import UserError
from gensis.images.store import Store
from gensis.settings.datasets import Quality


def chosen_rows(store: Store, quality: Quality) -> np.ndarray:
    """Tiles that pass every threshold: bool (N,). A score that is not a number passes none.

    Raises:
        UserError: the store has no such score.
    """
    chosen = np.ones(len(store), bool)
    for _, passes in _tests(store, quality):
        chosen &= passes
    return chosen


def describe(store: Store, quality: Quality) -> str:
    """How many tiles pass each threshold."""
    tests = [f"{text} holds for {passes.sum()}" for text, passes in _tests(store, quality)]
    return f"of {len(store)} tiles, {', '.join(tests)}"


def _tests(store: Store, quality: Quality) -> Iterator[tuple[str, np.ndarray]]:
    """Each threshold in words, with bool (N,): which tiles pass it."""
    comparisons = ((quality.minimum, ">=", operator.ge), (quality.maximum, "<=", operator.le))
    for thresholds, sign, compare in comparisons:
        for score, threshold in thresholds.items():
            if score not in store.file:
                raise UserError(f"{store.file.filename} holds no score {score}: delete it, and the slide is cut again")
            yield f"{score} {sign} {threshold:g}", compare(store.column(score), threshold)
