"""Copies of the scripts with one more file and one more line of a registry."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
REGISTRIES = "gensis/settings/registries.py"


def extended(folder: Path, registry: str, line: str, file: str, text: str) -> Path:
    """A copy of the scripts below `folder`.

    Args:
        folder: where to copy them.
        registry: name of the registry, whose first line becomes `line`.
        line: an entry.
        file: path of the new file, relative to the scripts.
        text: its content.
    """
    scripts = shutil.copytree(SCRIPTS, folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    registries = (scripts / REGISTRIES).read_text()
    start = f"\n{registry} = {{\n"
    assert registries.count(start) == 1
    (scripts / REGISTRIES).write_text(registries.replace(start, f"{start}    {line}\n"))
    assert not (scripts / file).exists()
    (scripts / file).write_text(text)
    return scripts


def run(scripts: Path, *line: object, status: int = 0) -> str:
    """Run Python there: a script with its arguments, or `-c` with a program. Returns what it wrote."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(scripts)}
    command = [sys.executable, *map(str, line)]
    done = subprocess.run(command, cwd=scripts, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr
