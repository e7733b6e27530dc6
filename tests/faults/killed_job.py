"""Runs a job's script in a process that is killed, alone or with all of Snakemake, after some processor time.

It is the Python of the jobs of `processes.run`. Imports are done before (`tests/warm_python.py`), so all of the time
is the job's work.
"""

import atexit
import contextlib
import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path

SECONDS_TO_SAVE = 2
KINDS = {
    "SIGKILL to the job": [signal.SIGKILL],
    "SIGTERM to the job": [signal.SIGTERM],
    "Ctrl-C": [signal.SIGINT],
    "SIGTERM, then SIGKILL": [signal.SIGTERM, signal.SIGKILL],
    "SIGKILL to the group": [signal.SIGKILL],
}
"""Kind -> signals, in this order, with seconds between them. The third is what a terminal does, the fourth what SLURM
does to all processes when the time of a job is up."""


def main() -> None:
    """Run `sys.argv`; the variable GENSIS_KILL describes the kill, or, without a kind, where to write the time used."""
    del sys.argv[0]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's `&` has its processes ignore Ctrl-C
    kill = json.loads(os.environ["GENSIS_KILL"])
    folder = Path(kill["folder"])
    with open(folder / "jobs", "a") as stream:
        stream.write(f"{os.getpid()}\n")
    if stage() == kill["stage"] and kill["kind"]:
        wait_and_kill(folder, kill)
    elif stage() == kill["stage"]:
        atexit.register(lambda: (folder / "seconds").write_text(str(time.process_time())))
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")


def stage() -> str:
    """Name of the job's script; both trainings of encoders have the same."""
    script = Path(sys.argv[0]).stem
    return "retrain_encoder" if script == "pretrain_encoder" and "--bank" in sys.argv else script


def wait_and_kill(folder: Path, kill: dict) -> None:
    """Start a process that kills this one at the moment of the kill."""
    job = os.getpid()
    if os.fork():
        return
    with contextlib.suppress(OSError):  # the job has ended
        while processor_seconds(job) < kill["seconds"]:
            time.sleep(0.001)
        (folder / "killed").touch()
        for number, each in enumerate(KINDS[kill["kind"]]):
            time.sleep(SECONDS_TO_SAVE * (number > 0))
            if "to the job" not in kill["kind"]:
                with contextlib.suppress(OSError):
                    os.killpg(int(os.environ["GENSIS_GROUP"]), each)
            os.kill(job, each)
    os._exit(0)


def processor_seconds(process: int) -> float:
    """Processor time that a process has used; on a busy machine it tells how far the process is."""
    return time.clock_gettime(~process << 3 | 2)  # Linux's number of this clock, as clock_getcpuclockid gives it
