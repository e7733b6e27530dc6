"""Checkpoints of a shard: a job that was killed resumes after its last block of images, with the same plan."""

import logging
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from gensis.artifacts.files import write_saved

LARGEST_BYTES = 1 << 28

log = logging.getLogger(__name__)


class Blocks:
    """A folder of blocks. A block is a file of consecutive encoded images; it is written atomically."""

    def __init__(self, folder: Path, batch_size: int, seconds: float):
        """Open the folder of one shard and kind of image.

        Args:
            folder: created if missing; its name must depend on everything that the images depend on.
            batch_size: images in a batch. Blocks end where batches end, so that a resumed job has the same batches.
            seconds: seconds after which a block is written.
        """
        self.folder = folder
        self._batch_size, self._seconds = batch_size, seconds

    def resumed(self, generate: Callable[[int], Iterable[bytes]]) -> Iterator[bytes]:
        """All images in order: first those in stored blocks, then the others, which are stored too.

        Args:
            generate: yields the encoded images in order, starting at the given number.
        """
        count = 0
        while images := _read(self._path(count)):
            count += len(images)
            yield from images
        yield from self._stored(generate(count), count)

    def _path(self, first: int) -> Path:
        """The block that begins with image number ``first``."""
        return self.folder / f"{first:012d}.npz"

    def _stored(self, encoded: Iterable[bytes], count: int) -> Iterator[bytes]:
        """Yield the images and store them in blocks; ``count`` is the number of the first image."""
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


def stored_once(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """An array that a job which was killed has stored; else it is computed and stored.

    Computed again, it might differ by rounding, and then not fit the images in stored blocks.
    """
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError):  # missing or damaged
        array = compute()
    write_saved(path, lambda stream: np.save(stream, array))
    return array


def _write(path: Path, images: list[bytes]) -> None:
    lengths, encoded = [len(image) for image in images], np.frombuffer(b"".join(images), np.uint8)
    write_saved(path, lambda stream: np.savez(stream, lengths=lengths, encoded=encoded))


def _read(path: Path) -> list[bytes]:
    """The images of a block. Empty if the block is missing or cannot be read: they are then generated again."""
    try:
        with np.load(path) as block:
            encoded, ends = block["encoded"].tobytes(), np.cumsum(block["lengths"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s cannot be read (%s): its images are generated again", path, error)
        return []
    return [encoded[end - length : end] for end, length in zip(ends.tolist(), np.diff(ends, prepend=0).tolist())]
