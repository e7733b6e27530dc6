"""Prefetching: batches that are read before they are requested."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise
from typing import Protocol, TypeVar

import numpy as np

# Batches that may wait; then the oldest is dropped. A retraining without real images reads three batches of a bank in a
# step (images, synthetic images, partners), and prefetches two steps.
_MOST = 8
Item = TypeVar("Item")
Found_co = TypeVar("Found_co", covariant=True)


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Each item, once the next one has been taken from ``items``.

    If taking an item begins its work (a read, a copy, a thread), that work runs while the item before is processed.
    """
    for item, _ in pairwise(chain(items, [None])):
        yield item


class Work(Protocol[Found_co]):
    """A read in progress, such as a `concurrent.futures.Future`."""

    def result(self) -> Found_co:
        """Wait for the read and return its result; raises any error of the read."""

    def cancel(self) -> object:
        """Cancel the parts that have not begun."""


class Ahead:
    """Batches of rows that are being read. Not thread-safe."""

    def __init__(self) -> None:
        self._begun: dict[bytes, Work] = {}

    def prefetch(self, rows: np.ndarray, begin: Callable[[np.ndarray], Work]) -> None:
        """Start to read int64 (n,) rows with ``begin``, unless they are being read."""
        key = rows.tobytes()
        if key in self._begun:
            return
        if len(self._begun) == _MOST:
            self._begun.pop(next(iter(self._begun))).cancel()
        self._begun[key] = begin(rows)

    def take(self, rows: np.ndarray) -> Work | None:
        """Remove and return the read of int64 (n,) rows; None if it was not prefetched."""
        return self._begun.pop(rows.tobytes(), None)
