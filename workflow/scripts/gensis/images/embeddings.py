"""Embeddings of images, stored in parts: HDF5 files that each hold some units, in order."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gensis.artifacts.hdf5 import open_hdf5, reading, written_hdf5
from gensis.errors import UserError

FORMAT = "gensis-embeddings/1"
_STRING = h5py.string_dtype()
_BLOCK_ROWS = 1 << 14


def part_count(units: Iterable[int], units_per_part: int) -> int:
    """Number of parts of a data set with so many units in each split; no part has units of both."""
    return sum(-(-count // units_per_part) for count in units)


def current_parts(folder: Path, count: float) -> list[Path]:
    """The first ``count`` parts in a folder, in order; it may also hold parts of a data set that was larger once."""
    return [path for path in sorted(folder.glob("part-*.h5")) if int(path.stem.removeprefix("part-")) < count]


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Embeddings of the images of several units."""

    features: np.ndarray
    """float32 (N, D)."""
    unit: np.ndarray
    """int32 (N,): index into `units`."""
    units: tuple[str, ...]
    """All units, including those without images."""
    keys: np.ndarray
    """(N, ...): int64 level-0 `coords` (N, 2) of tiles, or the string `key` (N,) of natural images."""
    flipped: np.ndarray | None = None
    """float32 (N, D): embeddings of the mirrored images, if they were computed."""

    @property
    def position(self) -> np.ndarray:
        """int64 (N,): position of each image in its unit."""
        first = np.searchsorted(self.unit, np.arange(len(self.units)))
        return np.arange(len(self.unit)) - first[self.unit]

    def rows_of(self, others: "Embeddings", rows: np.ndarray, what: str) -> np.ndarray:
        """Rows, int64 (n,), of the images that are at ``rows`` in ``others``, matched by unit, position and key.

        Args:
            others: embeddings of the same images, possibly of more, in any order of units.
            rows: int64 (n,).
            what: name of these embeddings in the error message, such as ``blur-1``.

        Raises:
            UserError: an image is missing in these embeddings.
        """
        number = {name: i for i, name in enumerate(self.units)}
        unit = np.array([number.get(name, -1) for name in others.units], np.int64)[others.unit[rows]]
        bounds = np.searchsorted(self.unit, np.arange(len(self.units) + 1))
        found = bounds[unit] + others.position[rows]
        here = (unit >= 0) & (found < bounds[unit + 1])
        if here.all():
            keys, wanted = self.keys[found], others.keys[rows]
            here = (keys == wanted).all(axis=tuple(range(1, keys.ndim))) if keys.shape == wanted.shape else ~here
        if not here.all():
            row = rows[np.argmin(here)]
            raise UserError(
                f"the embeddings of {what} lack image {others.position[row]} of unit "
                f"'{others.units[others.unit[row]]}', or have another image in its place: delete them and run again"
            )
        return found


def write_embeddings(
    path: Path,
    features: Iterable[np.ndarray],
    *,
    unit: np.ndarray,
    units: Sequence[str],
    keys: np.ndarray,
    attributes: Callable[[], Mapping[str, Any]] = dict,
    flipped: Iterable[np.ndarray] | None = None,
) -> None:
    """Write one part atomically, block by block: memory use does not depend on the number of embeddings.

    Args:
        path: the file to write.
        features: float32 blocks (n, D), in order; at least one, which may be empty.
        unit: as in Embeddings.
        units: as in Embeddings.
        keys: as in Embeddings; stored as `coords` if two-dimensional, otherwise as `key`.
        attributes: of the file, in addition to `format`; called after the last block.
        flipped: embeddings of the mirrored images, like ``features``.
    """
    with written_hdf5(path) as file:
        contents = [hashlib.sha256() for _ in units]
        _write_blocks(file, "features", features=features, unit=unit, contents=contents)
        if flipped is not None:
            _write_blocks(file, "features_flipped", features=flipped, unit=unit, contents=contents)
        file.create_dataset("content", data=[of_unit.hexdigest()[:16] for of_unit in contents], dtype=_STRING)
        file["unit"] = unit.astype(np.int32)
        file.create_dataset("units", data=np.array(units, object), dtype=_STRING)
        if keys.ndim == 2:
            file["coords"] = keys.astype(np.int64)
        else:
            file.create_dataset("key", data=keys.astype(object), dtype=_STRING)
        file.attrs.update({"format": FORMAT, **attributes()})


def _write_blocks(
    file: h5py.File, name: str, *, features: Iterable[np.ndarray], unit: np.ndarray, contents: Sequence["hashlib._Hash"]
) -> None:
    blocks = iter(features)
    first = next(blocks)
    target = file.create_dataset(name, (len(unit), first.shape[1]), np.float32)
    done = 0
    for block in itertools.chain([first], blocks):
        target[done : done + len(block)] = block
        _digest(block, unit[done : done + len(block)], contents)
        done += len(block)
    if done != len(unit):
        raise ValueError(f"{done} embeddings of {len(unit)} images")


def _digest(block: np.ndarray, unit: np.ndarray, contents: Sequence["hashlib._Hash"]) -> None:
    for number in np.unique(unit):
        contents[number].update(np.ascontiguousarray(block[unit == number], np.float32))


def computed_contents(file: h5py.File) -> list[str]:
    """Content ids of a part's units, computed from its data: equal to `content` unless the file is damaged."""
    contents = [hashlib.sha256() for _ in range(len(file["units"]))]
    unit = file["unit"][:]
    for name in ("features", "features_flipped"):
        for start in range(0, len(unit) if name in file else 0, _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            _digest(file[name][rows], unit[rows], contents)
    return [of_unit.hexdigest()[:16] for of_unit in contents]


def joint_content(contents: Iterable[str]) -> str:
    """One content id from the content ids of several units' embeddings, in order."""
    return hashlib.sha256(" ".join(contents).encode()).hexdigest()[:16]


def parts_content(paths: Iterable[Path]) -> str:
    """Content id of the embeddings in some parts, in order. The embeddings themselves are not read."""
    contents: list[str] = []
    for path in paths:
        with open_hdf5(path, FORMAT) as file:
            contents += file["content"].asstr()[:].tolist()
    return joint_content(contents)


def read_embeddings(paths: Sequence[Path]) -> Embeddings:
    """Read and concatenate parts, in the given order.

    Raises:
        UserError: a file is missing, cannot be read, or is not a file of embeddings.
    """
    parts = [_read_part(Path(path)) for path in paths]
    first_unit = np.cumsum([0] + [len(part.units) for part in parts])
    flipped = [part.flipped for part in parts]
    return Embeddings(
        features=np.concatenate([part.features for part in parts]),
        unit=np.concatenate([part.unit + first for part, first in zip(parts, first_unit)]).astype(np.int32),
        units=tuple(unit for part in parts for unit in part.units),
        keys=np.concatenate([part.keys for part in parts]),
        flipped=None if any(part is None for part in flipped) else np.concatenate(flipped),
    )


def _read_part(path: Path) -> Embeddings:
    with open_hdf5(path, FORMAT) as file, reading(path):
        keys = file["coords"][:] if "coords" in file else file["key"].asstr()[:]
        units = tuple(file["units"].asstr()[:])
        flipped = file["features_flipped"][:] if "features_flipped" in file else None
        return Embeddings(features=file["features"][:], unit=file["unit"][:], units=units, keys=keys, flipped=flipped)


def external_weights(paths: Sequence[Path]) -> dict[str, str]:
    """External weights that parts, or the shards of a bank, depend on, from their provenance."""
    found: dict[str, str] = {}
    for path in paths:
        with open_hdf5(path) as file:
            found |= json.loads(file.attrs.get("provenance", "{}")).get("external_weights", {})
    return found
