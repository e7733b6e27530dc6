"""Plain reads from files without HDF5, whose lock lets one thread at a time read."""

import os
from functools import lru_cache
from pathlib import Path

_OPEN_FILES = 256  # many systems allow a process 1,024


class OpenFiles:
    """Files that stay open, the last used ones. Any number of threads may read at once."""

    def __init__(self) -> None:
        self._open = lru_cache(_OPEN_FILES)(_OpenFile)

    def read(self, path: Path, at: int, count: int) -> bytes:
        """``count`` bytes of a file from byte ``at`` on.

        Raises:
            ValueError: the file ends before.
            OSError: it cannot be read; the error names the file.
        """
        try:
            return self._open(path).read(at, count)
        except OSError as error:
            error.filename = error.filename or str(path)
            raise

    def close(self) -> None:
        """Close all files; reading opens them again."""
        self._open.cache_clear()


class _OpenFile:
    """Closed when nobody holds it: not under a thread that still reads it when the cache lets it go."""

    def __init__(self, path: Path):
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, at: int, count: int) -> bytes:
        found = os.pread(self._descriptor, count, at)
        if len(found) < count:
            raise ValueError("the file ends too early")
        return found

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
