"""Verification of a run's report and the files that it shows; its provenance lists the content ids of the latter."""

import os
from pathlib import Path
from typing import Any

import yaml

from gensis.artifacts.files import content_id, read_json
from gensis.artifacts.folders import PROVENANCE, damage
from gensis.settings.stages import WITHOUT_RESULTS
from gensis.verification.findings import Findings


def check_report(run: Path, findings: Findings) -> None:
    """Check the report, and that the files that it shows have not changed since."""
    for path, reason in damage(run):
        findings.add(path, reason)
    try:
        shown = dict(read_json(run / PROVENANCE)["inputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # reported by `damage`
    for name, content in shown.items():
        path = Path(os.path.normpath(run.parent / name))
        with findings.reading(path):
            if content_id(path) != content:
                findings.add(path, f"has changed since {run / 'report.html'} was made")


def check_config(path: Path, study: dict[str, Any], findings: Findings) -> None:
    """Check that the stored config is that of this study, except for sections that change no result."""
    with findings.reading(path):
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
        others = {key for key in (stored | study).keys() - set(WITHOUT_RESULTS) if stored.get(key) != study.get(key)}
        if others:
            findings.add(path, f"other settings than the config's ({', '.join(sorted(others))})")
