"""What every script does around its work: arguments, log, errors, threads."""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gensis.errors import UserError


def parser(description: str, seed: bool = False, gpus: bool = False) -> argparse.ArgumentParser:
    """Arguments that scripts share: the stage's settings as JSON, threads, and seed and cards where they matter."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--config", type=json.loads, default={}, help="the stage's settings as JSON")
    result.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    if seed:
        result.add_argument("--seed", type=int, default=0)
    if gpus:
        result.add_argument("--gpus", type=int, default=0, help="cards to use; 0 is CPU")
    return result


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> None:
    """Run a script's main function. A UserError ends it with one line `error: ...` and status 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    arguments.started = time.time()
    try:
        main(arguments)
    except UserError as error:
        sys.exit(f"error: {error}")


def existing_folder(path: str) -> Path:
    """Argument type: a folder that exists."""
    folder = Path(path)
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is not a folder")
    return folder


def progress(log: logging.Logger, done: int, total: int, since: float, unit: str) -> None:
    """Log how far the work is, its rate and the time left.

    Args:
        done: finished units.
        total: all units.
        since: ``time.time()`` when the first one began.
        unit: what is counted, in the plural.
    """
    seconds = max(time.time() - since, 1e-9)
    rate = done / seconds
    left = (total - done) / rate if rate else float("inf")
    log.info("%d of %d %s, %.1f/s, %s left", done, total, unit, rate, duration(left))


def duration(seconds: float) -> str:
    """Seconds as people write them: `45 s`, `12 min`, `3.5 h`."""
    if seconds == float("inf"):
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
