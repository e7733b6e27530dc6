"""Which images of a bank's store a filter keeps: a file of the same name in the folder `filter` next to it."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gensis.artifacts.hdf5 import open_hdf5, reading, written_hdf5
from gensis.images.store import Store

FORMAT = "gensis-bank-filter/1"


def filter_path(store: Path) -> Path:
    """Path of the file that says which images of a store are kept."""
    return store.parent / "filter" / store.name


def write_filter(
    path: Path, measured: Mapping[str, np.ndarray], keep: np.ndarray, attributes: Mapping[str, Any]
) -> None:
    """Write the file atomically.

    Args:
        path: the file to write.
        measured: name -> float32 (N,), the values that are compared with the thresholds.
        keep: bool (N,), which images are kept.
        attributes: of the file, in addition to `format` and `content`.
    """
    with written_hdf5(path) as file:
        for name, values in measured.items():
            file[name] = values.astype(np.float32)
        file["keep"] = keep
        file.attrs.update({"format": FORMAT, "content": content_of(keep), **attributes})


def content_of(keep: np.ndarray) -> str:
    """Content id of a mask, bool (N,)."""
    return hashlib.sha256(np.packbits(keep)).hexdigest()[:16]


def read_keep_mask(store: Path) -> np.ndarray:
    """Which images of a store a filter keeps, bool (N,).

    Raises:
        UserError: the store was not filtered.
    """
    return _read(store)["keep"]


def filter_content(store: Path) -> str:
    """Content id of the images kept of a store: the same if the same images are kept, whatever the thresholds."""
    return _read(store)["content"]


def count_filtered(folder: Path, kind: str, sources: int) -> dict[str, int]:
    """Numbers of images of a kind in a bank's folder, and of sources.

    Args:
        folder: of the bank.
        kind: `generative` or `interpolated`.
        sources: number of images in the train split that the bank was generated from.

    Returns:
        `generated`, `unfaithful`, `copies` (an image may be both), `kept`, and `sources_without` an image that is kept.
    """
    counts = Counter(generated=0, unfaithful=0, copies=0, kept=0)
    has_images = np.zeros(sources, bool)
    for path in sorted(folder.glob(f"{kind}-*.h5")):
        values = _read(path)
        with Store(path) as store:
            has_images[store.column("source")[values["keep"]]] = True
        counts["generated"] += len(values["keep"])
        counts["unfaithful"] += int((values["fidelity"] < values["minimum_fidelity"]).sum())
        counts["copies"] += int((values["copy_ratio"] < values["copying_ratio"]).sum())
        counts["kept"] += int(values["keep"].sum())
    return {**counts, "sources_without": int((~has_images).sum())}


def _read(store: Path) -> dict[str, Any]:
    """Datasets and attributes of the file, by name."""
    path = filter_path(Path(store))
    with open_hdf5(path, FORMAT) as file, reading(path):
        return dict(file.attrs) | {name: data[:] for name, data in file.items()}
