"""Plain reads from files. HDF5 would let only one thread read at a time."""

import os
from functools import lru_cache
from pathlib import Path

_OPEN_FILES = 256  # many systems allow 1,024 per process


class OpenFiles:
    """A cache of open files; the least recently used are closed. Thread-safe."""

    def __init__(self) -> None:
        self._open = lru_cache(_OPEN_FILES)(_OpenFile)

    def read(self, path: Path, at: int, count: int) -> bytes:
        """Read ``count`` bytes of a file, starting at byte ``at``.

        Raises:
            ValueError: the file ends too early.
            OSError: the file cannot be read; the error names the file.
        """
        try:
            return self._open(path).read(at, count)
        except OSError as error:
            error.filename = error.filename or str(path)
            raise

    def close(self) -> None:
        """Close all files; a later read opens them again."""
        self._open.cache_clear()


class _OpenFile:
    """Closed when no longer referenced: a thread may still read from it after the cache has dropped it."""

    def __init__(self, path: Path):
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, at: int, count: int) -> bytes:
        data = os.pread(self._descriptor, count, at)
        if len(data) < count:
            raise ValueError("the file ends too early")
        return data

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
