"""The ground truth of revisited Oxford and Paris, a pickle."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gensis.errors import UserError

LISTS = ("easy", "hard", "junk")
# What pickles of arrays name. Nothing else is loaded, so a file cannot run code.
_ARRAYS = {"_reconstruct", "scalar", "ndarray", "dtype", "encode", "_frombuffer"}


@dataclass(frozen=True)
class Landmarks:
    """Queries and the images that are searched."""

    images: tuple[str, ...]
    """Names without `.jpg`."""
    queries: tuple[str, ...]
    lists: tuple[dict[str, np.ndarray], ...]
    """For each query, int64 numbers of the images that show its landmark: `easy`, `hard` and `junk`."""


def read_landmarks(path: Path) -> Landmarks:
    """Read `gnd_roxford5k.pkl` or `gnd_rparis6k.pkl`.

    Raises:
        UserError: the file cannot be read, or is not such a file.
    """
    try:
        with path.open("rb") as file:
            found = _Arrays(file).load()
        lists = tuple({name: np.array(query[name], np.int64).ravel() for name in LISTS} for query in found["gnd"])
        return Landmarks(tuple(found["imlist"]), tuple(found["qimlist"]), lists)
    except (OSError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} is no ground truth of revisited Oxford or Paris ({error!r}): download it") from error


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _ARRAYS and module.partition(".")[0] in ("numpy", "_codecs"):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")
