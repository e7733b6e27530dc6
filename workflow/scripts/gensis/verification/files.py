"""Verification of single files with a checksum and a provenance."""

import json
from pathlib import Path
from typing import Any

import h5py

from gensis.artifacts.checksums import NAME, of_hdf5, of_json
from gensis.artifacts.files import read_json
from gensis.images.store import Store
from gensis.verification.findings import Findings

DAMAGED = "damaged: its checksum does not match its content"


def checked_json(path: Path, findings: Findings) -> dict[str, Any]:
    """Compare a JSON file with its checksum; return its values, empty if it cannot be read."""
    with findings.reading(path):
        values = read_json(path)
        if values.get(NAME) != of_json(values):
            findings.add(path, DAMAGED)
        return values
    return {}


def check_hdf5(path: Path, file: h5py.File, findings: Findings) -> dict[str, Any]:
    """Compare an open HDF5 file with its checksum; return its provenance, empty if it has none."""
    if file.attrs.get(NAME) != of_hdf5(file):
        findings.add(path, DAMAGED)
    return json.loads(file.attrs.get("provenance", "{}"))


def provenance_of(store: Store) -> dict[str, Any]:
    """The provenance of an image store."""
    return json.loads(store.file.attrs["provenance"])
