"""The process of a subject: it does its share of a case each time it is told to.

Orders come as lines of JSON, and each is answered with one. The first says what the work is, and is answered when
imports and a warm-up are done; the others ask for one timed repeat. Nothing but Python is needed, for peers live in
an environment of their own.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[Path], int]
"""One repeat: it writes what it has to write in an empty folder, and returns the number of images."""
_started: dict[str, float] = {}


def serve(prepare: Callable[[dict[str, Any]], Work]) -> None:
    """Take orders until the pipe is closed.

    Args:
        prepare: gets the first order, whose `folder` is empty; returns the work, once done or warmed up in part.
    """
    # Libraries print what they like: it must not come between the answers.
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
        answer = {
            "n": images,
            "seconds": time.perf_counter() - _started["seconds"],
            "cpu_seconds": cpu_seconds() - _started["cpu_seconds"],
            "peak_mb": peak_mb(),
        }
        print(json.dumps(answer), file=answers)


def restart_clock() -> None:
    """Forget the time so far. Work calls it where it has filled a pipeline, as a training does only once."""
    _started.update(seconds=time.perf_counter(), cpu_seconds=cpu_seconds())


def cpu_seconds() -> float:
    """CPU time of this process and of its children, those that still run included."""
    ended = os.times()
    running = (Path(f"/proc/{child}/stat") for task in Path("/proc/self/task").iterdir() for child in children(task))
    ticks = sum(sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) for stat in running)
    return sum(ended[:4]) + ticks / os.sysconf("SC_CLK_TCK")


def children(task: Path) -> list[str]:
    """Processes that a thread of this one started."""
    return (task / "children").read_text().split()


def peak_mb() -> float:
    """Peak memory of this program in MB. `getrusage` would count what the program held that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
