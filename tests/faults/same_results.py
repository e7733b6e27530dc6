"""The results of a run, for the comparison of two runs: everything but times and what is derived from them."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

TIMES = {"seconds", "finished", "images_per_second", "commit", "provenance", "checksum", "files"}
NOT_COMPARED = {"logs", "benchmarks", "tensorboard", "checkpoints"}


def contents(results: Path) -> dict[str, str]:
    """Path below ``results`` -> digest of the content of each file; of pages and hidden files only the path."""
    paths = (path for path in sorted(results.rglob("*")) if path.is_file() and not path.name.startswith("."))
    names = ((path.relative_to(results), path) for path in paths)
    return {str(name): _digest(path) for name, path in names if NOT_COMPARED.isdisjoint(name.parts)}


def _digest(path: Path) -> str:
    if path.suffix == ".html":
        return ""
    if path.suffix == ".h5":
        content = repr(_hdf5(path)).encode()
    elif path.suffix == ".json":
        content = json.dumps(_without_times(json.loads(path.read_text()))).encode()
    elif path.suffix in (".csv", ".tsv"):
        with open(path, newline="") as stream:
            rows = csv.DictReader(stream, delimiter="," if path.suffix == ".csv" else "\t")
            content = repr([_without_times(row) for row in rows]).encode()
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _hdf5(path: Path) -> list[tuple[str, Any]]:
    """Names, attributes and digests of values."""
    found: list[tuple[str, Any]] = []

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        attributes = {key: np.asarray(value).tolist() for key, value in item.attrs.items()}
        found.append((name, _without_times(attributes)))
        if isinstance(item, h5py.Dataset):
            values = item[()]
            encoded = repr(values.tolist()).encode() if values.dtype.kind == "O" else np.ascontiguousarray(values)
            found.append((f"{values.dtype} {values.shape}", hashlib.sha256(encoded).hexdigest()))

    with h5py.File(path, "r", locking=False) as file:
        add("", file)
        file.visititems(add)
    return found


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(each) for key, each in sorted(value.items()) if key not in TIMES}
    return [_without_times(each) for each in value] if isinstance(value, list) else value
