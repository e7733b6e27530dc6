"""Batches of images for training: decoded once and held on the device, or decoded as they are needed."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from gensis.errors import UserError
from gensis.images.codec import decode
from gensis.images.index import Index
from gensis.images.store import Store

log = logging.getLogger(__name__)
_BLOCK = 512
_OPEN_FILES = 256


class Images(Protocol):
    """Equal-sized images, by row."""

    shape: tuple[int, int, int]
    """(3, height, width)."""

    def __len__(self) -> int: ...

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """uint8 (n, 3, height, width) on the device, for int64 (n,) rows on the CPU."""


def open_images(index: Index, device: torch.device, memory_gb: float, threads: int) -> Images:
    """Open the images of an index.

    Args:
        index: which images, in which order.
        device: where batches are wanted.
        memory_gb: decoded images up to this size are held on the device, once for each process.
        threads: that decode.

    Raises:
        UserError: the images are not all of one size, or the stores are not those of the index.
    """
    streamed = StreamedImages(index, device, threads)
    size_gb = len(streamed) * np.prod(streamed.shape) / 1e9
    if size_gb > memory_gb:
        log.info(
            "%d images, %.1f GB decoded, more than runtime.memory_gb %.1f: streamed", len(index), size_gb, memory_gb
        )
        return streamed
    return HeldImages(streamed)


class HeldImages:
    """All images as one uint8 tensor on the device."""

    def __init__(self, streamed: "StreamedImages"):
        self.shape = streamed.shape
        self.tensor = torch.empty((len(streamed), *self.shape), dtype=torch.uint8, device=streamed.device)
        for start in range(0, len(streamed), _BLOCK):
            rows = torch.arange(start, min(start + _BLOCK, len(streamed)))
            self.tensor[start : start + len(rows)] = streamed.batch(rows)

    def __len__(self) -> int:
        return len(self.tensor)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Images."""
        return self.tensor[rows.to(self.tensor.device)]


class StreamedImages:
    """Images read and decoded batch by batch, by threads."""

    def __init__(self, index: Index, device: torch.device, threads: int):
        self.index = index
        self.device = device
        self._pool = ThreadPoolExecutor(max(threads, 1))
        self._stores: dict[int, Store] = {}
        self._check()
        self.shape = self._decode(self._read(np.array([0]))[0], None).shape

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Images."""
        encoded = self._read(rows.numpy())
        decoded = list(self._pool.map(lambda image: self._decode(image, self.shape), encoded))
        return torch.from_numpy(np.stack(decoded)).to(self.device, non_blocking=True)

    def _check(self) -> None:
        for number, path in enumerate(self.index.paths()):
            with Store(path) as store:
                if store.content != self.index.contents[number]:
                    raise UserError(
                        f"{path} is not the store that its index lists: run again so that it is indexed anew"
                    )

    def _read(self, rows: np.ndarray) -> list[bytes]:
        units, positions = self.index.locate(rows)
        return [self._store(int(unit)).read(int(at), int(at) + 1)[0] for unit, at in zip(units, positions)]

    def _store(self, unit: int) -> Store:
        if unit not in self._stores:
            if len(self._stores) >= _OPEN_FILES:
                self._stores.pop(next(iter(self._stores))).close()
            self._stores[unit] = Store(self.index.paths()[unit])
        return self._stores[unit]

    @staticmethod
    def _decode(encoded: bytes, shape: tuple[int, ...] | None) -> np.ndarray:
        image = decode(encoded).transpose(2, 0, 1)
        if shape is not None and image.shape != shape:
            raise UserError(
                f"images of {shape[2]}x{shape[1]} and of {image.shape[2]}x{image.shape[1]} px in one data set: "
                "set its image_px, so that all are resized"
            )
        return image


def read_units(paths: list[Path], block: int) -> Iterator[np.ndarray]:
    """All images of some stores in order, in blocks: uint8 (n, 3, height, width) with n up to ``block``."""
    for path in paths:
        with Store(path) as store:
            for start in range(0, len(store), block):
                encoded = store.read(start, min(start + block, len(store)))
                yield np.stack([decode(image).transpose(2, 0, 1) for image in encoded])


def channel_statistics(images: Images, count: int = 2000) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of R, G and B in [0, 1], over ``count`` evenly spaced images."""
    rows = torch.linspace(0, len(images) - 1, min(count, len(images))).round().long()
    totals = torch.zeros(2, 3, dtype=torch.float64)
    for chunk in rows.split(_BLOCK):
        pixels = images.batch(chunk).double() / 255
        totals[0] += pixels.mean((2, 3)).sum(0).cpu()
        totals[1] += (pixels**2).mean((2, 3)).sum(0).cpu()
    mean, square = totals / len(rows)
    deviation = (square - mean**2).clamp(min=1e-6).sqrt()
    return tuple(round(value, 6) for value in mean.tolist()), tuple(round(value, 6) for value in deviation.tolist())
