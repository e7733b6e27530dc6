"""Processes of this host."""

import os
from pathlib import Path


def is_running(process: int, ticks: int | None = None) -> bool:
    """Whether the process that had this number and, if ``ticks`` says it, this start runs on this host."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another user
    return ticks is None or start_ticks(process) in (ticks, None)


def start_ticks(process: int) -> int | None:
    """Start of a process in clock ticks since boot, 0 for a killed one; None where there is no /proc."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return 0 if state == "Z" else int(fields[18])
