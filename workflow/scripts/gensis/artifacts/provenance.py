"""Provenance of artifacts: settings, inputs, versions and hardware they were made with."""

import json
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gensis
from gensis.artifacts.files import read_json

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "diffusers",
    "numpy",
    "h5py",
    "imagecodecs",
    "simplejpeg",
    "openslide-python",
    "wsidicom",
    "zarr",
    "pylibCZIrw",
    "scikit-learn",
)


def provenance(
    format: str,
    *,
    settings: dict[str, Any],
    inputs: dict[str, str],
    seed: int | None,
    device: str,
    started: float,
    external_weights: dict[str, str] = {},
) -> dict[str, Any]:
    """The record that every artifact carries.

    Args:
        format: kind of artifact and its version, such as ``gensis-encoder/1``.
        settings: the stage's settings as given.
        inputs: name of an input -> its content id.
        seed: None if nothing is random.
        device: ``cpu``, or the name of the GPU.
        started: ``time.time()`` when the work began.
        external_weights: name of external weights that the artifact depends on -> their content id.
    """
    return {
        "format": format,
        "gensis": gensis.__version__,
        "settings": settings,
        "inputs": inputs,
        "external_weights": external_weights,
        "seed": seed,
        "device": device,
        "seconds": round(time.time() - started, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": git_commit(),
    }


def external_weights_of(folder: Path) -> dict[str, str]:
    """External weights that the artifact in a folder depends on: name -> content id."""
    path = folder / "provenance.json"
    return read_json(path).get("external_weights", {}) if path.exists() else {}


@cache
def git_commit() -> str | None:
    """Commit of this checkout, with ``+changes`` if files were edited; None outside a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        # No lock: thousands of jobs may call git at once.
        environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
        return subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def to_attribute(record: dict[str, Any]) -> str:
    """The record as one string, for an attribute of an HDF5 file."""
    return json.dumps(record, sort_keys=True)


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
