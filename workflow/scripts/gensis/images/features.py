"""The embeddings of an index's images, read from their files row by row, or held on the device."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import torch

from gensis.artifacts.hdf5 import open_hdf5, reading
from gensis.errors import UserError
from gensis.images.ahead import Ahead
from gensis.images.embeddings import FORMAT, joint_content
from gensis.images.index import Index
from gensis.images.open_files import OpenFiles
from gensis.training.device import copied

_BYTES = np.dtype(np.float32).itemsize
_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """Position of a unit's embeddings in a file."""

    path: Path
    images: int
    width: int
    at: int
    """Byte at which the embeddings begin."""
    flipped_at: int | None
    """Byte at which the embeddings of the mirrored images begin; None if there are none."""
    content: str


class Features:
    """Embeddings of an index's images, in its order, optionally followed by those of the mirrored images.

    Only the position of each unit is held in memory: embeddings of 100 million images with 384 values take 154 GB. Any
    number of threads may read at once; only one of them may prefetch.
    """

    shape: tuple[int, int]
    """Number of rows, and D."""
    content: str
    """Content id of the units' embeddings, in the order of `train.tsv`."""

    def __init__(self, index: Index, paths: Sequence[Path], flips: bool = False):
        """Read the layout of every part.

        Args:
            index: of the train split.
            paths: parts with the embeddings of all images of the index, and possibly others, in any order of units.
            flips: add the mirrored images as rows ``len(index)`` to ``2 * len(index)``.

        Raises:
            UserError: a part is missing or damaged; the number of a unit's embeddings is not the number of its images;
                the embeddings of two units differ in width; or the mirrored images were not embedded.
        """
        known = {name: unit for path in paths for name, unit in _read_units(Path(path)).items()}
        self._index, self._units = index, [known.get(name) for name in index.units]
        self._check()
        if flips and any(unit.flipped_at is None for unit in self._units):
            raise UserError("the mirrored images have no embeddings: embed again with embedding.flips: true")
        width, *others = {unit.width: None for unit in self._units}
        if others:
            raise UserError(f"some embeddings have {width} values and others {others[0]}: embed the images again")
        self.shape = (len(index) * (2 if flips else 1), width)
        self.content = joint_content(unit.content for unit in self._units)
        self._begins = np.array([[unit.at for unit in self._units], [unit.flipped_at or 0 for unit in self._units]])
        self._paths = list(dict.fromkeys(unit.path for unit in self._units))
        number_of = {path: number for number, path in enumerate(self._paths)}
        self._path_numbers = np.array([number_of[unit.path] for unit in self._units])
        self._files = OpenFiles()
        self._pool = ThreadPoolExecutor(1)
        self._ahead = Ahead()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Embeddings at int64 (n,) rows: float32 (n, D) on the CPU."""
        rows = np.asarray(rows)
        begun = self._ahead.take(rows)
        return begun.result() if begun else self._read(rows)

    def prefetch(self, rows: torch.Tensor) -> None:
        """Start to read rows that will be requested next; optional."""
        self._ahead.prefetch(rows.numpy(), partial(self._pool.submit, self._read))

    def close(self) -> None:
        """End the thread and close the files."""
        self._pool.shutdown(cancel_futures=True)
        self._files.close()

    def _read(self, rows: np.ndarray) -> torch.Tensor:
        """Read rows that are neighbours in a file at once: Python runs, and holds the GIL, for each read."""
        mirrored, rows = np.divmod(rows, len(self._index))
        units, positions = self._index.locate(rows)
        width = self.shape[1]
        values, size = np.empty(len(rows) * width, np.float32), width * _BYTES
        files, begins = self._path_numbers[units], self._begins[mirrored, units] + positions * size
        starts = np.flatnonzero((np.diff(files, prepend=-1) != 0) | (np.diff(begins, prepend=-1) != size))
        for (first, last), file, begin in zip(
            pairwise([*starts.tolist(), len(rows)]), files[starts].tolist(), begins[starts].tolist()
        ):
            path = self._paths[file]
            try:
                encoded = self._files.read(path, begin, (last - first) * size)
            except ValueError as error:
                raise UserError(f"{path}: {error}: delete it and run again") from error
            values[first * width : last * width] = np.frombuffer(encoded, np.float32)
        finite = np.isfinite(values)
        if not finite.all():  # otherwise the loss would be NaN, and the training would be blamed
            path = self._paths[files[np.argmin(finite) // width]]
            raise UserError(f"{path}: embeddings are not finite: delete it and run again")
        return torch.from_numpy(values.reshape(len(rows), width))

    def _check(self) -> None:
        """Check that every unit has an embedding for each of its images in the index."""
        index = self._index
        positions = index.locate(index.first_rows[1:] - 1)[1]
        for name, unit, last in zip(index.units, self._units, positions):
            images = unit.images if unit else 0
            if images != last + 1 if index.ranges is None else images <= last:
                raise UserError(
                    f"there are embeddings of {images} of the {last + 1} images of {name}: embed the images again"
                )


class HeldFeatures:
    """All embeddings as one tensor on a device: reading a batch takes no Python per row."""

    def __init__(self, features: Features, device: torch.device):
        self.shape, self.content = features.shape, features.content
        self._tensor = torch.empty(self.shape, device=device)
        for start in range(0, len(features), _BLOCK):
            rows = torch.arange(start, min(start + _BLOCK, len(features)))
            self._tensor[start : start + _BLOCK] = features[rows]

    @property
    def size_gb(self) -> float:
        """Memory that the embeddings take."""
        return _size_gb(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """Embeddings at int64 (n,) rows on the CPU: float32 (n, D) on the device."""
        return self._tensor.index_select(0, copied(rows, self._tensor.device))

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Features."""


def held_if_small(features: Features, device: torch.device, image_cache_gb: float) -> Features | HeldFeatures:
    """The embeddings on the device if they take at most ``image_cache_gb``; else ``features``."""
    return HeldFeatures(features, device) if _size_gb(features.shape) <= image_cache_gb else features


def _size_gb(shape: tuple[int, int]) -> float:
    return shape[0] * shape[1] * _BYTES / 1e9


def _read_units(path: Path) -> dict[str, _Unit]:
    """The units of a part, by name."""
    with open_hdf5(path, FORMAT) as file, reading(path):
        names, contents = file["units"].asstr()[:], file["content"].asstr()[:]
        first = np.searchsorted(file["unit"][:], np.arange(len(names) + 1)).tolist()
        count, width = file["features"].shape
        of_both = [file[name] for name in ("features", "features_flipped") if name in file]
        # The bytes are read later without HDF5, so type and shape must be as expected.
        if any((values.dtype, values.shape) != (np.float32, (first[-1], width)) for values in of_both):
            raise ValueError("its embeddings are not one float32 row per image")
        begin, flipped = _begin(file, "features"), _begin(file, "features_flipped")
    if count and begin is None:
        raise UserError(
            f"{path}: its datasets are not contiguous (the file may have been repacked): delete it and run again"
        )
    size = width * _BYTES
    return {
        name: _Unit(
            path=path,
            images=last - row,
            width=width,
            at=(begin or 0) + row * size,
            flipped_at=None if flipped is None else flipped + row * size,
            content=content,
        )
        for name, row, last, content in zip(names, first[:-1], first[1:], contents)
    }


def _begin(file: h5py.File, name: str) -> int | None:
    """Byte at which a dataset begins; None if it is missing, empty or not contiguous."""
    return file[name].id.get_offset() if name in file else None
