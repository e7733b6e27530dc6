"""What all scripts share: arguments, logging, error handling."""

import argparse
import errno
import json
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gensis.errors import UserError
from gensis.settings.base import SEEDS

_ADVICE = {
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG): "free space there, or raise the quota or limit",
    (
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.ENXIO,
    ): "check the disk or the network",
    (errno.EROFS, errno.EACCES, errno.EPERM): "allow this user to read and write there",
}


def parser(description: str, seed: bool = False, gpus: bool = False) -> argparse.ArgumentParser:
    """Parser with the arguments that scripts share: settings as JSON, threads, and optionally seed and GPUs."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--config", type=_json, default={}, help="the stage's settings as JSON; - reads stdin")
    result.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    if seed:
        result.add_argument("--seed", type=valid_seed, default=0)
    if gpus:
        result.add_argument("--gpus", type=int, default=0, help="GPUs to use; 0 is CPU")
    return result


def _json(text: str) -> Any:
    """Parsed JSON, of standard input for `-`: Linux limits an argument to 128 KiB, less than a large study."""
    try:
        return json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it is not JSON ({error})") from None


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> None:
    """Run a script's main function.

    Errors that the user can fix, and errors of the machine, end it with one line `error: ...` and status 1. All others
    are bugs and keep their traceback. SIGINT (Ctrl-C) and SIGTERM end it like an exception, so that temporary files are
    removed.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    arguments.started = time.time()
    on_signals((signal.SIGINT, signal.SIGTERM), lambda number, frame: sys.exit(128 + number))
    try:
        main(arguments)
    except UserError as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        message = _failure_of_machine(error)
        if message is None:
            raise
        sys.exit(f"error: {message}")


def on_signals(numbers: Sequence[signal.Signals], handler: Callable[[int, object], None]) -> None:
    """Handle signals, except those that the parent process has this one ignore (nohup, or a script's `&`)."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _failure_of_machine(error: Exception) -> str | None:
    """Message for an error of the machine: which file, what happened, what to do. None for other errors."""
    text = str(error)
    if isinstance(error, MemoryError):
        return f"the memory is full ({text or 'MemoryError'}): give the job more, and run again: finished jobs are kept"
    if type(error).__name__ == "OutOfMemoryError":  # torch's class; torch is not imported for it
        return (
            f"the GPU's memory is full ({text.splitlines()[0]}): lower runtime.image_cache_gb, or, if this job "
            "trains nothing, runtime.inference_batch_size, or the batch_size of the training (of an encoder without "
            "BatchNorm, gradient_accumulation: auto instead), and run again: finished jobs are kept"
        )
    if type(error).__name__ == "DistBackendError" or re.search(r"gloo.*Connection (closed|reset) by peer", text):
        return (
            "another process of this training ended: see its error. If it has none and nobody stopped it, the memory "
            "was full: give the job more, and run again: finished jobs are kept"
        )
    for code, path in _system_errors(error):
        advice = next((advice for codes, advice in _ADVICE.items() if code in codes), None)
        if advice is not None:
            if path is None or str(path).endswith(".tmp"):  # the name of the artifact is more useful
                path = next(iter(getattr(error, "__notes__", ())), path or "a file")
            return f"{path}: {os.strerror(code)}: {advice}, and run again: finished jobs are kept"
    return None


def _system_errors(error: BaseException | None) -> Iterator[tuple[int | None, str | None]]:
    """Number of the system's error, and the file, of an exception and then of those that it was raised from.

    torch reports a failed write as an error of its own while it handles the system's.
    """
    while error is not None:
        code, path = getattr(error, "errno", None), getattr(error, "filename", None)
        # HDF5 and safetensors have the number in the text alone, also of RuntimeErrors.
        if path is None and (within := re.search(r"errno = (\d+)|\(os error (\d+)\)", str(error))):
            code = int(within[1] or within[2])
            named = re.search(r"filename = '([^']*)'", str(error))
            path = named[1] if named else None
        yield code, path
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def existing_folder(path: str) -> Path:
    """Argument type: a folder that exists."""
    folder = Path(path)
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is not a folder")
    return folder


def valid_seed(text: str) -> int:
    """Argument type: a seed that all random generators accept."""
    if not text.isdecimal() or int(text) >= SEEDS:
        raise argparse.ArgumentTypeError(f"{text} is not a seed: give an integer from 0 to {SEEDS - 1}")
    return int(text)
