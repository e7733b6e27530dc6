"""Tile files with damaged headers: each must get an outcome, whatever its bytes.

`python tests/faults/fuzz_slides.py --seconds 600` runs for longer than the test does; `--seed` repeats one file.
"""

import argparse
import collections
import faulthandler
import json
import os
import random
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow" / "scripts")]


from tests.faults.damaged_headers import damaged, sound_files  # noqa: E402

import tile_slide  # noqa: E402
from gensis.errors import UserError  # noqa: E402
from gensis.slides.outcomes import OUTCOMES  # noqa: E402

ADDRESS_BYTES = 4 << 30
MEMORY_BYTES = 3 << 29
LONGEST_SECONDS = 20


def settings(dice: random.Random) -> tuple[dict, float | None]:
    """Settings of a data set, mostly with reader `auto`, and the um/px of the sheet, if any."""
    reader = dice.choice(("auto", "auto", "auto", "tiff", "openslide", "picture"))
    tissue = {"method": dice.choice(("otsu", "none")), "mpp": dice.choice((2.0, 8.0)), "minimum_area_um2": 100}
    encoding = dice.choice(("jpeg", "png", "native"))
    config = {"tile_px": 64, "mpp": 0.5, "reader": reader, "encoding": encoding, "tissue": tissue}
    return config, dice.choice((None, 0.5, 0.5))


class Worker:
    """A process that tiles file after file, with bounded memory."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._start()

    def _start(self) -> None:
        self._errors = (self._folder / "stderr.txt").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._process.stdout.readline() == b"ready\n", self.last_words()

    def tile(self, path: Path, config: dict, mpp: float | None) -> str:
        """The outcome, or another word for what happened instead."""
        self._process.stdin.write(json.dumps([str(path), config, mpp]).encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], LONGEST_SECONDS)[0]:
            self._process.kill()
            return f"HANG\n{self._restarted()}"
        line = self._process.stdout.readline()
        if not line:
            return f"CRASH {self._process.wait()}\n{self._restarted()}"
        answer, peak = json.loads(line)
        if peak > MEMORY_BYTES:
            self._process.kill()
            self._restarted()
            return f"MEMORY {peak >> 20} MiB\n{answer}"
        return answer

    def _restarted(self) -> str:
        words = self.last_words()
        self.close()
        self._start()
        return words

    def last_words(self) -> str:
        """The last lines that the process wrote to stderr."""
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-3000:]

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def work(folder: Path) -> None:
    """Main function of a worker: a line of JSON in, a line of JSON out."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stdout
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        path, config, mpp = json.loads(line)
        faulthandler.dump_traceback_later(LONGEST_SECONDS - 2)
        answer = outcome(folder, path, config, mpp)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps([answer, peak_bytes()]), file=answers, flush=True)


def peak_bytes() -> int:
    """Largest memory of this process. On Linux, getrusage counts that of the process which started it too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) << 10


def outcome(folder: Path, path: str, config: dict, mpp: float | None) -> str:
    """Tile one file. Its outcome, `UserError`, or `ERROR` and a traceback."""
    store, result = folder / "unit.h5", folder / "unit.json"
    names = ["--config", json.dumps(config), "--slide", path, "--unit", "unit", "--threads", "2"]
    names += ["--mpp", str(mpp)] if mpp else []
    arguments = tile_slide.argument_parser().parse_args([*names, "--store", str(store), "--outcome", str(result)])
    arguments.started = time.time()
    for old in (store, result):
        old.unlink(missing_ok=True)
    try:
        tile_slide.main(arguments)
    except UserError:
        return "UserError"
    except BaseException:
        return "ERROR\n" + traceback.format_exc()
    found = json.loads(result.read_text())["outcome"]
    if found not in OUTCOMES or not store.exists():
        return f"ERROR\noutcome {found}, store {store.exists()}"
    return found


def cases(sound: list[Path], first: int) -> Iterator[tuple[int, str, bytes, tuple[dict, float | None]]]:
    """Endless damaged files: number, name, content, settings. A number always gives the same file."""
    number = first
    while True:
        dice = random.Random(number)
        path = dice.choice(sound)
        yield number, path.name, damaged(path, dice), settings(dice)
        number += 1


def fuzz(
    seconds: float, folder: Path, first: int = 0, count: int | None = None, say: Callable[[str], None] = print
) -> tuple[collections.Counter, list[str]]:
    """Tile damaged files for a while; return the count of each outcome and a report of each file without one."""
    sound, kept = folder / "sound", folder / "found"
    for each in (sound, kept):
        each.mkdir(exist_ok=True)
    counts: collections.Counter = collections.Counter()
    failures: list[str] = []
    worker, end = Worker(folder), time.monotonic() + seconds
    for number, name, content, asked in cases(sound_files(sound), first):
        if time.monotonic() > end or (count is not None and number >= first + count):
            break
        path = folder / f"slide{Path(name).suffix}"
        path.write_bytes(content)
        answer = worker.tile(path, *asked)
        counts[answer.split("\n")[0]] += 1
        if answer not in (*OUTCOMES, "UserError"):
            (kept / f"{number}-{name}").write_bytes(content)
            failures.append(f"file {number} ({name}) with {asked}: {answer}")
            say(failures[-1])
    worker.close()
    return counts, failures


def main() -> None:
    """Fuzz from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="number of the first file")
    parser.add_argument("--count", type=int, help="number of files, if the time does not end first")
    parser.add_argument("--keep", type=Path, help="a new folder for files without an outcome")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        counts, failures = fuzz(arguments.seconds, folder, arguments.seed, arguments.count)
    print(f"{counts.total()} files: " + ", ".join(f"{number} {name}" for name, number in counts.most_common()))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
