"""Verification of trained models: encoders, autoencoders and diffusion models."""

from pathlib import Path
from typing import Any

from gensis.artifacts.files import read_json
from gensis.artifacts.folders import PROVENANCE, damage
from gensis.verification.findings import Findings
from gensis.verification.origins import Inputs, Origins


def check_folder(
    folder: Path,
    settings: dict[str, Any],
    *,
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
        seed: of its training; None for external weights.
        recipe: current version of the training code; None for external weights.
        inputs: inputs that it must be trained from.
        findings: problems are added to it.
        origins: compares the provenance.

    Returns:
        Its provenance; empty if it cannot be read.
    """
    for path, reason in damage(folder):
        findings.add(path, reason)
    path = folder / PROVENANCE
    try:
        record = read_json(path)
        record["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # reported by `damage`
    with findings.reading(path):
        origins.compare(path, record, settings=settings, seed=seed, inputs=inputs)
        if record.get("recipe") != recipe:
            findings.add(path, f"trained with recipe {record.get('recipe')}, but the current recipe is {recipe}")
    return record
