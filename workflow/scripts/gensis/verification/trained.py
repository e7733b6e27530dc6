"""Folders of trained models: encoders, autoencoders, diffusion models."""

from pathlib import Path
from typing import Any

from gensis.artifacts.files import read_json
from gensis.artifacts.folders import PROVENANCE, damage
from gensis.verification.findings import Findings
from gensis.verification.origins import Inputs, Origins


def check_folder(
    folder: Path,
    settings: dict[str, Any],
    seed: int | None,
    recipe: int | None,
    inputs: Inputs,
    findings: Findings,
    origins: Origins,
) -> dict[str, Any]:
    """Check the folder of a model.

    Args:
        folder: with a `provenance.json`.
        settings: of its stage.
        seed: of its training; None of one trained elsewhere.
        recipe: version of the code that trains it today; None of one trained elsewhere.
        inputs: what it learns from.
        findings: take what is wrong.
        origins: compare provenance.

    Returns:
        Its provenance; nothing if that cannot be read.
    """
    for path, reason in damage(folder):
        findings.add(path, reason)
    path = folder / PROVENANCE
    try:
        record = read_json(path)
        record["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # `damage` has said so
    with findings.reading(path):
        origins.compare(path, record, settings, seed, inputs)
        if record.get("recipe") != recipe:
            findings.add(path, f"trained by recipe {record.get('recipe')}, which is now {recipe}")
    return record
