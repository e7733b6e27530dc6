"""The processes of a Snakemake run: its jobs, found by an environment variable that they inherit. Linux only."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MARK = "GENSIS_KILLED_RUN"
PROC = Path("/proc")


def start(clone: Path, config: Path, *targets: str) -> subprocess.Popen:
    """Start Snakemake in the clone, one job at a time on the CPU, as a process group of its own."""
    options = ("--cores", "1", "--resources", "gpu=0", "--nocolor", "--configfile", str(config))
    with open(clone / "run.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *targets, *options],
            cwd=clone,
            env=os.environ | {MARK: str(clone), "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A script's `&` has its processes ignore Ctrl-C, which a terminal's do not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def running(clone: Path) -> Iterator[tuple[int, list[str]]]:
    """Process id and command line of every process of the clone's runs that has not ended."""
    mark = f"{MARK}={clone}".encode()
    for entry in filter(str.isdecimal, os.listdir(PROC)):
        try:
            if mark in (PROC / entry / "environ").read_bytes().split(b"\0"):
                line = (PROC / entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if any(line):
                    yield int(entry), line
        except OSError:
            continue


def jobs(clone: Path) -> Iterator[tuple[str, int]]:
    """Stage and process id of every running job: the name of its script, or `retrain_encoder`."""
    for process, line in running(clone):
        if len(line) > 1 and line[1].endswith(".py") and "workflow/scripts" in line[1]:
            yield "retrain_encoder" if "--bank" in line else Path(line[1]).stem, process


def cpu_seconds(process: int) -> float:
    """Processor time that a process has used: on a busy machine it tells how far the process is."""
    try:
        fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
