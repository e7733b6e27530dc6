"""Temporary files of artifacts that are being written, and those that killed jobs left."""

import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gensis.artifacts.processes import is_running

_END = ".tmp"


def temporary_path(path: Path) -> Path:
    """Hidden path in the same folder, `.<name>.<machine>-<process>.tmp`, that no other process uses."""
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}{_END}")


def is_temporary(path: Path) -> bool:
    """Whether a path has the name of a temporary file."""
    return path.name.startswith(".") and path.name.endswith(_END)


def temporary_files(folder: Path) -> Iterator[Path]:
    """All temporary files below a folder, also those that jobs are writing now."""
    return filter(is_temporary, Path(folder).rglob(f".*{_END}"))


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files below a folder whose process on this machine has ended: killed jobs leave them.

    Those of other machines stay, because nothing here tells whether their process still runs.
    """
    for path in temporary_files(folder):
        machine, _, process = path.name.removesuffix(_END).rpartition(".")[2].partition("-")
        if machine == _machine() and process.isdecimal() and not is_running(int(process)):
            with suppress(OSError):  # the folder belongs to another user, or is read-only
                path.unlink()


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"  # short: names of artifacts may be long
