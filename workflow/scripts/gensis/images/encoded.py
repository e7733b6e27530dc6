"""Single encoded images read from their stores without HDF5, whose lock lets one thread at a time read.

A store's datasets are contiguous, so that once it is known where they begin in the file, an image is two plain reads:
its two offsets, then its bytes. Nothing of a store but these two numbers is kept, whatever the number of its images.
"""

import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gensis.errors import UserError
from gensis.images.store import Store

_OPEN_FILES = 256  # many systems allow a process 1,024


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a store's file its images are."""

    path: Path
    content: str
    """The store's content id."""
    images: int
    offsets_at: int
    """Byte at which the offsets begin, int64 each."""
    encoded_at: int
    """Byte at which the images' bytes begin; 0 in a store without images."""


def read_layout(path: Path) -> Layout:
    """Open a store for a moment and look (0.5 ms on a local disk, one store at a time).

    Raises:
        UserError: it is no image store, or its datasets are not contiguous.
    """
    with Store(path) as store:
        beginnings = [store.file[name].id.get_offset() for name in ("offsets", "encoded")]
        if len(store) and None in beginnings:
            raise UserError(
                f"{path}: its datasets are not contiguous, as a program that repacks files leaves them: "
                "delete it and run again"
            )
        return Layout(path, store.content, len(store), *(beginning or 0 for beginning in beginnings))


class EncodedImages:
    """The images of some stores by store and position. Any number of threads may read at once."""

    def __init__(self, layouts: list[Layout]):
        self.layouts = layouts
        self._open = lru_cache(_OPEN_FILES)(_OpenFile)

    def read(self, store: int, position: int) -> bytes:
        """The bytes of one image.

        Raises:
            ValueError: the file ends before the image does.
            OSError: it cannot be read; the error names the file.
        """
        layout = self.layouts[store]
        try:
            file = self._open(layout.path)
            first, last = struct.unpack("=qq", file.read(layout.offsets_at + 8 * position, 16))
            return file.read(layout.encoded_at + first, last - first)
        except OSError as error:
            error.filename = error.filename or str(layout.path)
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
            raise ValueError("the file ends before the image does")
        return found

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
