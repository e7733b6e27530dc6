"""Embeddings of images: HDF5 files of a fixed number of units, in the units' order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gensis.artifacts.files import written_atomically
from gensis.errors import UserError

FORMAT = "gensis-embeddings/1"


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of the images of several units."""

    features: np.ndarray
    """float32 (N, D)."""
    unit: np.ndarray
    """int32 (N,): index into `units`."""
    units: tuple[str, ...]
    """All units, those without images included."""
    keys: np.ndarray
    """(N, ...): int64 level-0 `coords` (N, 2) of tiles, or the `key` (N,) of natural images as strings."""

    @property
    def position(self) -> np.ndarray:
        """int64 (N,): position of each image in its unit."""
        first = np.searchsorted(self.unit, np.arange(len(self.units)))
        return np.arange(len(self.unit)) - first[self.unit]


def write_embeddings(path: Path, embeddings: Embeddings, attributes: dict[str, Any]) -> None:
    """Write one part atomically. `keys` becomes `coords` if it is two-dimensional, else `key`."""
    with written_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        file["features"] = embeddings.features.astype(np.float32)
        file["unit"] = embeddings.unit.astype(np.int32)
        file.create_dataset("units", data=np.array(embeddings.units, object), dtype=h5py.string_dtype())
        if embeddings.keys.ndim == 2:
            file["coords"] = embeddings.keys.astype(np.int64)
        else:
            file.create_dataset("key", data=embeddings.keys.astype(object), dtype=h5py.string_dtype())
        file.attrs.update({"format": FORMAT, **attributes})


def read_embeddings(paths: Sequence[Path]) -> Embeddings:
    """Read parts in the given order as one.

    Raises:
        UserError: a file is missing or is no part.
    """
    parts = [_read_part(Path(path)) for path in paths]
    first_unit = np.cumsum([0] + [len(part.units) for part in parts])
    return Embeddings(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.unit + first for part, first in zip(parts, first_unit)]).astype(np.int32),
        tuple(unit for part in parts for unit in part.units),
        np.concatenate([part.keys for part in parts]),
    )


def _read_part(path: Path) -> Embeddings:
    try:
        with h5py.File(path, "r") as file:
            if file.attrs["format"] != FORMAT:
                raise KeyError
            keys = file["coords"][:] if "coords" in file else file["key"].asstr()[:]
            units = tuple(file["units"].asstr()[:])
            return Embeddings(file["features"][:], file["unit"][:], units, keys)
    except (OSError, KeyError):
        raise UserError(f"{path} holds no embeddings ({FORMAT}): delete it and run again") from None
