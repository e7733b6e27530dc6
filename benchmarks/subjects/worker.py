"""The process of a subject: it does its share of a case for each order that it receives.

Orders are lines of JSON on standard input, and each is answered with a line. The first order describes the work and is
answered when imports and a warm-up are done; every further order requests one timed repeat. This module imports only
the standard library, because peers have environments of their own.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[Path], int]
"""One repeat: writes its output to an empty folder, and returns the number of images."""
_started: dict[str, float] = {}
_measured: dict[str, float] = {}


def serve(prepare: Callable[[dict[str, Any]], Work]) -> None:
    """Follow orders until standard input is closed.

    Args:
        prepare: gets the first order, whose `folder` is empty; warms up and returns the work.
    """
    # Output of libraries must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    work, images = None, 0
    for line in sys.stdin:
        order = json.loads(line)
        folder = Path(order["folder"])
        folder.mkdir()
        restart_clock()
        if work is None:
            work = prepare(order)
        else:
            images = work(folder)
        if not _measured:
            stop_clock()
        print(json.dumps({"n": images} | _measured | {"peak_mb": peak_mb()}), file=answers)


def restart_clock() -> None:
    """Discard the time so far. Called after a pipeline of workers is filled, which happens once in a training."""
    _measured.clear()
    _started.update(seconds=time.perf_counter(), cpu_seconds=cpu_seconds())


def stop_clock() -> None:
    """Measure the time until now. Called before a pipeline of workers is ended, otherwise at the end of the work."""
    _measured["seconds"] = time.perf_counter() - _started["seconds"]
    _measured["cpu_seconds"] = cpu_seconds() - _started["cpu_seconds"]


def cpu_seconds() -> float:
    """CPU time of this process and of its children, including those that are still running."""
    ended = os.times()
    running = (Path(f"/proc/{child}/stat") for task in Path("/proc/self/task").iterdir() for child in children(task))
    ticks = sum(sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) for stat in running)
    return sum(ended[:4]) + ticks / os.sysconf("SC_CLK_TCK")


def children(task: Path) -> list[str]:
    """Ids of the processes that a thread of this process started."""
    return (task / "children").read_text().split()


def peak_mb() -> float:
    """Peak memory of this program in MB. `getrusage` would include the memory of the program that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
