"""Batches of images for training: all decoded once and kept on the device, or decoded batch by batch."""

import logging
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from gensis.errors import UserError
from gensis.images.ahead import Ahead, one_ahead
from gensis.images.codec import decode, decode_into
from gensis.images.encoded import EncodedImages, Layout, read_layout
from gensis.images.index import Index
from gensis.images.store import damaged_image
from gensis.progress import progress
from gensis.ranges import to_nchw, to_nhwc, to_unit
from gensis.training.device import copied

log = logging.getLogger(__name__)
_BLOCK = 512
_STATISTICS_VALUES = 1 << 26  # about 1 GB of float64, with what is computed from it


class Images(Protocol):
    """Equal-sized images, by row."""

    index: Index
    """Index of the images."""
    shape: tuple[int, int, int]
    """(3, height, width)."""

    def __len__(self) -> int: ...

    def prefetch(self, rows: torch.Tensor) -> None:
        """Start to read rows that will be requested from `batch` next; optional."""

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """uint8 (n, 3, height, width), channels last in memory, on the device, for int64 (n,) rows on the CPU."""


def open_images(index: Index, device: torch.device, image_cache_gb: float, threads: int) -> Images:
    """Open the images of an index.

    Args:
        index: the images and their order.
        device: device of the batches.
        image_cache_gb: if all decoded images take at most this much, they are kept on the device, once per process.
        threads: number of threads that read and decode.

    Raises:
        UserError: the images differ in size, or a store is not the one that the index lists.
    """
    streamed = StreamedImages(index, device, threads)
    size_gb = decoded_gb(streamed)
    if size_gb > image_cache_gb:
        log.info(
            "%d images take %.1f GB decoded, more than the %.1f GB left for them (runtime.image_cache_gb): "
            "decoding them batch by batch",
            *(len(index), size_gb, image_cache_gb),
        )
        return streamed
    return HeldImages(streamed)


def decoded_gb(images: Images) -> float:
    """Memory that all images take, decoded."""
    return len(images) * math.prod(images.shape) / 1e9


class HeldImages:
    """All images as one uint8 tensor on the device."""

    def __init__(self, streamed: "StreamedImages"):
        """Read all images, and close their stores."""
        self.index, self.shape = streamed.index, streamed.shape
        channels, height, width = self.shape
        self._pixels = torch.empty((len(streamed), height, width, channels), dtype=torch.uint8, device=streamed.device)
        with streamed:
            done, blocks = 0, read_ahead(streamed, _blocks(len(streamed), _BLOCK))
            for block in progress(blocks, len(streamed), "images read", size=len):
                self._pixels[done : done + len(block)] = to_nhwc(block)
                done += len(block)

    def __len__(self) -> int:
        return len(self._pixels)

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Images."""

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Images."""
        return to_nchw(self._pixels.index_select(0, copied(rows, self._pixels.device)))


class StreamedImages:
    """Images read and decoded batch by batch in threads. Neither reading nor decoding holds the GIL."""

    def __init__(self, index: Index, device: torch.device, threads: int):
        """Read the layout of every store, and decode one image to know the size."""
        self.index = index
        self.device = device
        self._encoded = EncodedImages(read_layouts(index))
        self._threads = max(threads, 1)
        self._pool = ThreadPoolExecutor(self._threads)
        self._ahead = Ahead()
        self.shape = self._first_shape()

    def __len__(self) -> int:
        return len(self.index)

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Images."""
        self._ahead.prefetch(rows.numpy(), self._begin)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Images.

        Raises:
            UserError: an image cannot be decoded, or has another size.
        """
        begun = self._ahead.take(rows.numpy()) or self._begin(rows.numpy())
        return to_nchw(begun.result().to(self.device, non_blocking=True))

    def close(self) -> None:
        """End the threads and close the files."""
        self._pool.shutdown(cancel_futures=True)
        self._encoded.close()

    def __enter__(self) -> "StreamedImages":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _first_shape(self) -> tuple[int, int, int]:
        (store,), (position,) = self.index.locate(np.zeros(1, np.int64))
        try:
            height, width, channels = decode(self._encoded.read(store, position)).shape
        except ValueError as error:
            raise self._damaged(store, position, error) from error
        return channels, height, width

    def _begin(self, rows: np.ndarray) -> "_Batch":
        channels, height, width = self.shape
        # Copies from pinned memory to a GPU are asynchronous; torch keeps the memory until the copy is done.
        pixels = torch.empty(
            (len(rows), height, width, channels), dtype=torch.uint8, pin_memory=self.device.type == "cuda"
        )
        stores, positions = (part.tolist() for part in self.index.locate(rows))
        images, size = pixels.numpy(), -(-len(rows) // (4 * self._threads)) or 1
        parts = [slice(start, start + size) for start in range(0, len(rows), size)]
        work = [self._pool.submit(self._decode, stores[part], positions[part], images[part]) for part in parts]
        return _Batch(pixels, work)

    def _decode(self, stores: list[int], positions: list[int], images: np.ndarray) -> None:
        for store, position, image in zip(stores, positions, images):
            try:
                decode_into(self._encoded.read(store, position), image)
            except ValueError as error:
                raise self._damaged(store, position, error) from error

    def _damaged(self, store: int, position: int, error: ValueError) -> UserError:
        path = self._encoded.layouts[store].path
        return damaged_image(path, position, error)


@dataclass(frozen=True)
class _Batch:
    """A batch that is being decoded."""

    memory: torch.Tensor
    """uint8 (n, height, width, 3), filled by `work`."""
    work: list[Future]

    def result(self) -> torch.Tensor:
        """Wait for all images; raises any error of a thread."""
        for part in self.work:
            part.result()
        return self.memory

    def cancel(self) -> None:
        """Cancel the parts that have not begun."""
        for part in self.work:
            part.cancel()


def read_layouts(index: Index) -> list[Layout]:
    """Layouts of the index's stores.

    Raises:
        UserError: the content id of a store is not the one in the index.
    """
    layouts = []
    for path, content in zip(progress(index.paths(), len(index.units), "stores opened"), index.contents):
        layouts.append(read_layout(path))
        if layouts[-1].content != content:
            raise UserError(f"{path} is not the store that its index lists: run again to update the index")
    return layouts


def _blocks(count: int, size: int) -> Iterator[torch.Tensor]:
    """The rows 0 to ``count`` in blocks, int64 (up to size,)."""
    return (torch.arange(start, min(start + size, count)) for start in range(0, count, size))


def read_ahead(images: Images, batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Images of batches of rows, in order, with the next batch prefetched.

    Args:
        images: to read from.
        batches: rows of each batch, int64 (n,).
    """

    def begun(rows: torch.Tensor) -> torch.Tensor:
        images.prefetch(rows)
        return rows

    yield from map(images.batch, one_ahead(map(begun, batches)))


def read_units(paths: list[Path], block: int, device: torch.device, threads: int) -> Iterator[torch.Tensor]:
    """All images of some stores, in order, in blocks, with the next block prefetched.

    Args:
        paths: the stores; some may be empty.
        block: images per block. A block may contain images of several stores; the last may be smaller.
        device: device of the blocks.
        threads: number of threads that read and decode.

    Yields:
        uint8 (n, 3, height, width).

    Raises:
        UserError: the images differ in size, or one is damaged.
    """
    counts, contents = zip(*((layout.images, layout.content) for layout in map(read_layout, paths)))
    first_rows = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if first_rows[-1]:
        index = Index(
            folder=paths[0].parent, units=tuple(path.stem for path in paths), first_rows=first_rows, contents=contents
        )
        with StreamedImages(index, device, threads) as images:
            yield from read_ahead(images, _blocks(len(images), block))


def channel_statistics(images: Images, count: int = 2000) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of R, G and B in [0, 1], over ``count`` evenly spaced images."""
    last = len(images) - 1
    rows = torch.linspace(0, last, min(count, len(images)), dtype=torch.float64).round().long()
    totals = torch.zeros(2, 3, dtype=torch.float64)
    block_images = min(_BLOCK, max(1, _STATISTICS_VALUES // math.prod(images.shape)))  # as float64 on the device
    for block in read_ahead(images, rows.split(block_images)):
        pixels = to_unit(block.double())
        totals[0] += pixels.mean((2, 3)).sum(0).cpu()
        totals[1] += (pixels**2).mean((2, 3)).sum(0).cpu()
    mean, square = totals / len(rows)
    deviation = (square - mean**2).clamp(min=1e-6).sqrt()
    return tuple(round(value, 6) for value in mean.tolist()), tuple(round(value, 6) for value in deviation.tolist())
