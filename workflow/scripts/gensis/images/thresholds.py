"""Selection of a slide's tiles by thresholds on their quality scores."""

import operator
from collections.abc import Iterator

import numpy as np

from gensis.errors import UserError
from gensis.images.store import Store
from gensis.settings.datasets import Quality


def chosen_rows(store: Store, quality: Quality) -> np.ndarray:
    """Tiles that pass every threshold: bool (N,). NaN passes no threshold.

    Raises:
        UserError: the store lacks a score.
    """
    chosen = np.ones(len(store), bool)
    for _, passes in _tests(store, quality):
        chosen &= passes
    return chosen


def describe(store: Store, quality: Quality) -> str:
    """Number of tiles that pass each threshold, as text."""
    tests = [f"{passes.sum()} pass {text}" for text, passes in _tests(store, quality)]
    return f"of {len(store)} tiles, {', '.join(tests)}"


def _tests(store: Store, quality: Quality) -> Iterator[tuple[str, np.ndarray]]:
    """Text of each threshold, and the tiles that pass it, bool (N,)."""
    comparisons = ((quality.minimum, ">=", operator.ge), (quality.maximum, "<=", operator.le))
    for thresholds, sign, compare in comparisons:
        for score, threshold in thresholds.items():
            if score not in store.file:
                raise UserError(f"{store.file.filename} lacks the score {score}: delete it to tile the slide again")
            yield f"{score} {sign} {threshold:g}", compare(store.column(score), threshold)
