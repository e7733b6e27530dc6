"""Generated images kept in blocks, so that the job of a shard, killed anywhere, goes on after its last block."""

import logging
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from gensis.artifacts.files import written_atomically

LARGEST_BYTES = 1 << 28

log = logging.getLogger(__name__)


class Blocks:
    """A folder of blocks: files that are complete or absent, each a run of encoded images, in order."""

    def __init__(self, folder: Path, batch_size: int, seconds: float):
        """Open the folder of one shard and kind.

        Args:
            folder: made if absent; what decides the images must be part of its name.
            batch_size: blocks end where batches do, so that batches are the same when the job goes on.
            seconds: time after which a block is written.
        """
        self.folder = folder
        self._batch_size, self._seconds = batch_size, seconds

    def resumed(self, generate: Callable[[int], Iterable[bytes]]) -> Iterator[bytes]:
        """All images: those kept, then the others, which are kept in turn.

        Args:
            generate: makes the encoded images from a given one on, in order.
        """
        count = 0
        while images := _read(self._path(count)):
            count += len(images)
            yield from images
        yield from self._kept(generate(count), count)

    def _path(self, first: int) -> Path:
        """The block that begins with an image: whoever wrote it, these are the images from there on."""
        return self.folder / f"{first:012d}.npz"

    def _kept(self, encoded: Iterable[bytes], count: int) -> Iterator[bytes]:
        waiting: list[bytes] = []
        size, since = 0, time.monotonic()
        for image in encoded:
            waiting.append(image)
            size += len(image)
            late = size >= LARGEST_BYTES or time.monotonic() - since >= self._seconds
            if late and (count + len(waiting)) % self._batch_size == 0:
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(self._path(count), waiting)
                count += len(waiting)
                waiting, size, since = [], 0, time.monotonic()
            yield image


def _write(path: Path, images: list[bytes]) -> None:
    with written_atomically(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, lengths=[len(image) for image in images], encoded=np.frombuffer(b"".join(images), np.uint8))


def _read(path: Path) -> list[bytes]:
    """A block's images; none if it is not there or cannot be read, so that they are generated again."""
    try:
        with np.load(path) as block:
            encoded, ends = block["encoded"].tobytes(), np.cumsum(block["lengths"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s cannot be read (%s): its images are generated again", path, error)
        return []
    return [encoded[end - length : end] for end, length in zip(ends.tolist(), np.diff(ends, prepend=0).tolist())]
