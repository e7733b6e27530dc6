"""Runs of Snakemake in which a job is killed. Linux only."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.warm_python import PLANNING, TRAINING, warm_python

from gensis.artifacts.processes import is_running

ROOT = Path(__file__).parents[2]
# A session of its own, whose processes are killed together. A script's `&` has its processes ignore Ctrl-C, which a
# terminal's do not.
SNAKEMAKE = """
import os, signal, sys
os.setsid()
os.environ["GENSIS_GROUP"] = str(os.getpid())
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.executable = sys.argv.pop(1)
from snakemake.cli import main
main()
"""
JOB = f"import sys; sys.path.insert(0, '{ROOT}'); from tests.faults.killed_job import main; main()"
LONGEST_SECONDS = 900


@dataclass(frozen=True)
class Kill:
    """How and when a job is killed."""

    kind: str
    """One of `killed_job.KINDS`; empty: it is not killed, and its processor time is measured."""
    seconds: float
    """Processor time of the job at the moment of the kill."""


@dataclass(frozen=True)
class Ended:
    """What came of a run."""

    status: int
    is_killed: bool
    """Whether the kill came before the job's end."""
    seconds: float
    """Processor time of the job if it was not to be killed."""
    left: list[int]
    """Processes of jobs that did not end."""


def run(clone: Path, config: Path, *targets: str, stage: str = "", kill: Kill = Kill("", 0)) -> Ended:
    """Run Snakemake in the clone, one job at a time on the CPU; it and its jobs are forks, so that they start fast."""
    folder = clone / "kill"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    forks, python = warm_python((*PLANNING, *TRAINING)), folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{forks}" -c "{JOB}" "$@"\n')
    python.chmod(0o755)
    described = {"stage": stage, "kind": kill.kind, "seconds": kill.seconds, "folder": str(folder)}
    options = ("--cores", "1", "--resources", "gpu=0", "--nocolor", "--configfile", str(config))
    with open(clone / "run.log", "ab") as log:
        done = subprocess.run(
            [forks, "-c", SNAKEMAKE, python, *targets, *options],
            cwd=clone,
            env=os.environ | {"GENSIS_KILL": json.dumps(described), "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=LONGEST_SECONDS,
        )
    seconds = float((folder / "seconds").read_text()) if (folder / "seconds").exists() else 0.0
    return Ended(done.returncode, (folder / "killed").exists(), seconds, still_running(folder / "jobs"))


def still_running(jobs: Path) -> list[int]:
    """Of the processes that a file lists, those that have not ended a minute later."""
    until = time.monotonic() + 60
    while True:
        left = [int(line) for line in jobs.read_text().split() if is_running(int(line))] if jobs.exists() else []
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.02)
