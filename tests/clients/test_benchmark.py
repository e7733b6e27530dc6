"""benchmarks/clients.sh at toy size, with the client that is installed."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/clients.sh"


def run_of(cut, folder: Path) -> Path:
    """The folder of a run with these artifacts."""
    run = folder / "results/tiny"
    links = {
        run / "features/dino/tissue/seed0": cut.features,
        run / "encoders/dino/seed0": cut.encoder,
        folder / "results/images/tissue/unit.h5": cut.store,
    }
    for link, target in links.items():
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
    return run


def test_a_client_that_works_and_one_that_fails_have_a_line_each(tmp_path, cuts):
    run, out = run_of(cuts["level"], tmp_path), tmp_path / "out"
    environment = out / "environments/hub"
    (environment / "bin").mkdir(parents=True)
    (environment / "complete").touch()
    python = environment / "bin/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    command = ["bash", SCRIPT, run, cuts["level"].slide.parent, out, "timm", "diffusers"]
    environment = {"DATASET": "tissue", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in (out / "clients.tsv").read_text().splitlines()]
    assert [row[:2] for row in rows] == [["timm", "tissue"], ["diffusers", "tissue"]]
    assert rows[0][3].startswith(f"{len(cuts['level'].tiles)} tiles embedded, smallest cosine")
    assert rows[1][3].startswith("failed: ")  # this run has no diffusion model
