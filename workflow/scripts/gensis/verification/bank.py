"""Verification of banks: shards, filters, and quality measurements."""

from pathlib import Path
from typing import Any

import h5py

from gensis.images.bank_filter import content_of, filter_path
from gensis.images.store import Store
from gensis.verification.files import check_hdf5, checked_json, provenance_of
from gensis.verification.findings import Findings
from gensis.verification.origins import Inputs, Origins


def check_shard(
    path: Path, settings: dict[str, Any], *, seed: int, inputs: Inputs, findings: Findings, origins: Origins
) -> None:
    """Check a shard.

    Args:
        path: of the store.
        settings: of the bank.
        seed: of the bank.
        inputs: inputs that the shard must be generated from.
        findings: problems are added to it.
        origins: compares the provenance.
    """
    with findings.reading(path), Store(path) as store:
        if store.computed_content() != store.content:
            findings.add(path, "damaged: its content id does not match its content")
        origins.compare(path, provenance_of(store), settings=settings, seed=seed, inputs=inputs)


def check_sources(path: Path, images: int, findings: Findings) -> None:
    """Check that sources, partners and copied images of a shard are rows of the training images, and no source is its
    own partner."""
    with findings.reading(path), Store(path) as store:
        source, partner, *copied = (
            store.column(name) for name in ("source", "partner", "copied") if name in store.file
        )
        largest = max(rows.max(initial=-1) for rows in (source, partner, *copied))
        if largest >= images or (source == partner).any():
            findings.add(path, f"has sources, partners or copies that are not among the {images} training images")


def check_filter(
    store: Path, settings: dict[str, Any], *, seed: int, inputs: Inputs, findings: Findings, origins: Origins
) -> None:
    """Check the filter of a shard. Arguments as in `check_shard`."""
    path = filter_path(store)
    with findings.reading(path), h5py.File(path, "r", locking=False) as file:
        record = check_hdf5(path, file, findings)
        origins.compare(path, record, settings=settings, seed=seed, inputs=inputs)
        if content_of(file["keep"][:]) != file.attrs["content"]:
            findings.add(path, "its content id does not match the images that it keeps")


def check_quality(
    path: Path, settings: dict[str, Any], *, seed: int, inputs: Inputs, findings: Findings, origins: Origins
) -> None:
    """Check the quality measurements of a bank. Arguments as in `check_shard`."""
    values = checked_json(path, findings)
    if values:
        with findings.reading(path):
            origins.compare(path, values["provenance"], settings=settings, seed=seed, inputs=inputs)
