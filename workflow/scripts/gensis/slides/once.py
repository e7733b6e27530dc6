"""A thread-safe cache in which each result is computed only once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from copy import copy

import numpy as np


class Once:
    """A function with an LRU cache. If two threads request the same result, only the first computes it."""

    def __init__(self, function: Callable[..., np.ndarray | None], capacity_bytes: int):
        """Cache results of `function`, which may raise, up to a total size; least recently used are dropped first."""
        self._function = function
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._results: OrderedDict[Hashable, Future[np.ndarray | None]] = OrderedDict()
        self._bytes = 0

    def __call__(self, *key: Hashable) -> np.ndarray | None:
        """Return the result for these arguments, or raise the exception of its computation."""
        with self._lock:
            future = self._results.get(key)
            if future is not None:
                self._results.move_to_end(key)
            else:
                mine = self._results[key] = Future()
        if future is None:
            return self._make(key, mine)
        error = future.exception()
        if error is not None:
            raise copy(error)
        return future.result()

    def _make(self, key: tuple[Hashable, ...], future: "Future[np.ndarray | None]") -> np.ndarray | None:
        try:
            result = self._function(*key)
        except BaseException as error:
            future.set_exception(copy(error))  # the traceback of a raised one keeps its callers' objects alive
            raise
        future.set_result(result)
        with self._lock:
            self._bytes += _size(result)
            while self._bytes > self._capacity_bytes and len(self._results) > 1:
                self._forget_oldest()
        return result

    def _forget_oldest(self) -> None:
        key, future = self._results.popitem(last=False)
        if not future.done():  # still being computed: it counts as new
            self._results[key] = future
        elif future.exception() is None:
            self._bytes -= _size(future.result())


def _size(result: np.ndarray | None) -> int:
    return 0 if result is None else result.nbytes
