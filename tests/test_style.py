"""The repository passes its own style checks."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def check(module: str, *arguments: str) -> None:
    """Run a checker on the repository; fails with its output."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_python_passes_ruff():
    check("ruff", "check", "--no-cache", ".")


def test_python_is_formatted():
    check("ruff", "format", "--check", "--no-cache", ".")


def test_rules_are_formatted():
    check("snakefmt", "--check", "Snakefile", "workflow/rules")


def test_rules_pass_the_snakemake_linter():
    check("snakemake", "--lint", "--configfile", "config/demo.yaml")
