"""Progress of long loops in the log: items done, their rate, and the time left."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

SECONDS_ON_A_TERMINAL = 10
SECONDS_IN_A_FILE = 60

log = logging.getLogger(__name__)
Item = TypeVar("Item")


def progress(
    items: Iterable[Item], total: int, unit: str, *, size: Callable[[Item], int] = lambda item: 1
) -> Iterator[Item]:
    """The items, unchanged; how many were processed is logged every ten seconds, or every minute without a terminal.

    Loops that end sooner log nothing; the others also log their end.

    Args:
        items: what the loop processes.
        total: sum of the sizes of all items.
        unit: what is counted, in the plural.
        size: of an item, such as the number of images in a batch.
    """
    interval = SECONDS_ON_A_TERMINAL if sys.stderr.isatty() else SECONDS_IN_A_FILE
    began = logged = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += size(item)
        now = time.monotonic()
        if now - logged >= interval or (done == total and logged > began):
            rate = done / max(now - began, 1e-9)
            log.info("%d of %d %s, %.1f/s, %s left", done, total, unit, rate, time_left(done, total, now - began))
            logged = now


def time_left(done: int, total: int, seconds: float) -> str:
    """Time for the rest at the average pace, as text, if ``done`` of ``total`` took ``seconds``."""
    return duration(seconds / done * (total - done)) if done else "unknown time"


def duration(seconds: float) -> str:
    """Seconds in a readable unit: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
