"""Reading begun before it is asked for."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

_MOST = 4  # that may wait; the oldest makes room
Found_co = TypeVar("Found_co", covariant=True)


class Work(Protocol[Found_co]):
    """Begun reading, such as a `concurrent.futures.Future`."""

    def result(self) -> Found_co:
        """What was read, when it is all there; raises what the reading raised."""

    def cancel(self) -> object:
        """Leave out what is not begun."""


class Ahead:
    """Batches of rows that are being read. One thread at a time may use it."""

    def __init__(self) -> None:
        self._begun: dict[bytes, Work] = {}

    def prefetch(self, rows: np.ndarray, begin: Callable[[np.ndarray], Work]) -> None:
        """Let ``begin`` start to read int64 (n,) rows, unless that has begun."""
        key = rows.tobytes()
        if key in self._begun:
            return
        if len(self._begun) == _MOST:
            self._begun.pop(next(iter(self._begun))).cancel()
        self._begun[key] = begin(rows)

    def take(self, rows: np.ndarray) -> Work | None:
        """The work on int64 (n,) rows if it has begun; it is then given away."""
        return self._begun.pop(rows.tobytes(), None)
