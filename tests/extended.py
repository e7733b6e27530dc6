"""Copies of the scripts with one more file and one more line of a registry."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
SETTINGS = "gensis/settings"


def extended(folder: Path, registry: str, line: str, file: str, text: str) -> Path:
    """A copy of the scripts below `folder`.

    Args:
        folder: where to copy them.
        registry: name of a registry in `gensis/settings`, whose first line becomes `line`.
        line: an entry.
        file: path of the new file, relative to the scripts.
        text: its content.
    """
    scripts = shutil.copytree(SCRIPTS, folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    start = re.compile(rf"^{registry}\b.* = {{\n", re.MULTILINE)
    (path,) = (path for path in (scripts / SETTINGS).glob("*.py") if start.search(path.read_text()))
    path.write_text(start.sub(lambda found: f"{found[0]}    {line}\n", path.read_text()))
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
