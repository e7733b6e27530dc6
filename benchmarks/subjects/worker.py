"""The process of a subject: it tiles its share of the slides each time it is told to.

Orders come as lines of JSON, and each is answered with one. The first names the slides, and is answered when imports
and a first slide are done; the others ask for one timed repeat. Nothing but Python is needed, for peers live in an
environment of their own.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

JPEG_QUALITY = 90


@dataclass(frozen=True)
class Slide:
    """One slide, and the grid that this pipeline lays on it."""

    path: str
    mpp: float
    """um/px at full resolution."""
    target_mpp: float
    tile_px: int
    level: int
    """Level that tiles are read from."""
    width: float
    """Of a tile, in px of that level: `tile_px`, unless tiles are resampled."""
    height: float
    coords: list[list[int]]
    """x and y of the tiles in level-0 px, row by row."""


def serve(tile: Callable[[list[Slide], Path], int]) -> None:
    """Take orders until the pipe is closed.

    Args:
        tile: cuts slides, writes what it has to write in an empty folder, and returns the number of tiles.
    """
    # Libraries print what they like: it must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    slides: list[Slide] = []
    for line in sys.stdin:
        order = json.loads(line)
        folder = Path(order["folder"])
        folder.mkdir()
        warm_up = not slides
        slides = slides or [Slide(**slide) for slide in order["slides"]]
        started, cpu_started = time.perf_counter(), time.process_time()
        tiles = tile(slides[:1] if warm_up else slides, folder)
        answer = {
            "tiles": tiles,
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "peak_mb": peak_mb(),
        }
        print(json.dumps(answer), file=answers)


def peak_mb() -> float:
    """Peak memory of this program in MB. `getrusage` would count what the program held that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
