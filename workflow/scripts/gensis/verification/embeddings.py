"""Verification of embeddings, and of the features exported from them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gensis.images.embeddings import computed_contents, joint_content
from gensis.verification.files import check_hdf5
from gensis.verification.findings import Findings
from gensis.verification.images import Images
from gensis.verification.origins import Inputs, Origins

_BLOCK_ROWS = 1 << 14


def check_parts(
    paths: Sequence[Path],
    settings: dict[str, Any],
    *,
    seed: int,
    images: Images,
    encoder: Inputs,
    findings: Findings,
    origins: Origins,
) -> dict[str, str]:
    """Check parts of one encoder's embeddings.

    Args:
        paths: the parts, in order.
        settings: of the stage.
        seed: of the encoder.
        images: the images that are embedded.
        encoder: the encoder as an input; empty for a baseline.
        findings: problems are added to it.
        origins: compares the provenance.

    Returns:
        Unit -> stored content id of its embeddings, in the order of the parts.
    """
    contents: dict[str, str] = {}
    for path in paths:
        with findings.reading(path), h5py.File(path, "r", locking=False) as file:
            record = check_hdf5(path, file, findings)
            units, stated = file["units"].asstr()[:].tolist(), file["content"].asstr()[:].tolist()
            contents |= dict(zip(units, stated))
            if computed_contents(file) != stated:
                findings.add(path, "damaged: its content ids do not match its embeddings")
            _check_values(path, file, findings)
            stores = {unit: (images.folder / f"{unit}.h5", images.contents.get(unit)) for unit in units}
            origins.compare(path, record, settings=settings, seed=seed, inputs=stores | encoder)
    return contents


def _check_values(path: Path, file: h5py.File, findings: Findings) -> None:
    features, keys = file["features"], file["coords" if "coords" in file else "key"]
    if not len(features) == len(file["unit"]) == len(keys):
        findings.add(path, "has columns of different lengths")
    blocks = (features[start : start + _BLOCK_ROWS] for start in range(0, len(features), _BLOCK_ROWS))
    if not all(np.isfinite(block).all() for block in blocks):
        findings.add(path, "has embeddings that are not finite")


def embeddings_content(contents: dict[str, str], units: Iterable[str] | None) -> str | None:
    """Content id of some units' embeddings; None if the units or one of their content ids are not known."""
    wanted = [None] if units is None else [contents.get(unit) for unit in units]
    return None if None in wanted else joint_content(wanted)


def check_features(folder: Path, parts: Sequence[Path], selected: dict[str, int] | None, findings: Findings) -> None:
    """Check the exported feature files: undamaged, and exported from these parts.

    Args:
        folder: of the files.
        parts: the embeddings.
        selected: unit -> number of its images that are used; None if not known.
        findings: problems are added to it.
    """
    made_of: dict[str, str] = {}
    for path in parts:
        with findings.reading(path), h5py.File(path, "r", locking=False) as file:
            made_of |= dict.fromkeys(file["units"].asstr()[:], file.attrs["provenance"])
    for path in sorted(folder.rglob("*.h5")):
        with findings.reading(path), h5py.File(path, "r", locking=False) as file:
            check_hdf5(path, file, findings)
            if path.parent != folder:
                continue
            if made_of.get(path.stem, file.attrs["provenance"]) != file.attrs["provenance"]:
                findings.add(path, "exported from other embeddings than the current ones")
            elif selected is not None and len(file["features"]) != (count := selected.get(path.stem, 0)):
                findings.add(path, f"has features of {len(file['features'])} tiles, of which {count} are used now")
