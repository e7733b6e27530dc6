"""The page of a run and the files that it shows: those that have no place for a checksum are named in its record."""

import os
from pathlib import Path
from typing import Any

import yaml

from gensis.artifacts.files import content_id, read_json
from gensis.artifacts.folders import PROVENANCE, damage
from gensis.verification.findings import Findings


def check_report(run: Path, findings: Findings) -> None:
    """Check the page, and that the files that it shows are as they were then."""
    for path, reason in damage(run):
        findings.add(path, reason)
    try:
        shown = dict(read_json(run / PROVENANCE)["inputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # `damage` has said so
    for name, content in shown.items():
        path = Path(os.path.normpath(run.parent / name))
        with findings.reading(path):
            if content_id(path) != content:
                findings.add(path, f"not what {run / 'report.html'} shows of it")


def check_config(path: Path, study: dict[str, Any], findings: Findings) -> None:
    """Check that the stored study is this one, but for how it is run."""
    with findings.reading(path):
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
        others = {key for key in (stored | study).keys() - {"runtime"} if stored.get(key) != study.get(key)}
        if others:
            findings.add(path, f"other settings than the config's ({', '.join(sorted(others))})")
