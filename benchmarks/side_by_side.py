"""Subjects that take turns in one run: their processes, and the report of their measurements."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SUBJECTS = ROOT / "benchmarks" / "subjects"
SCRIPTS = ROOT / "workflow" / "scripts"
DATA = Path(os.environ.get("GENSIS_DATA", ROOT.parent / "shared" / "data"))
_THREADS_OF = ("OMP", "OPENBLAS", "MKL", "NUMBA", "OPENCV_FOR")

Round = dict[str, dict[str, float]]
"""One repeat of all subjects."""


def environment(threads: int) -> dict[str, str]:
    """Environment of a subject: limits each library to ``threads`` threads, and makes this project importable."""
    path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    limits = {f"{name}_NUM_THREADS": str(threads) for name in _THREADS_OF}
    return os.environ | limits | {"VIPS_CONCURRENCY": str(threads), "PYTHONPATH": path}


def use_cores(number: int) -> int:
    """Restrict this process and its children to ``number`` cores, or fewer if fewer are available.

    Returns:
        Number of cores.
    """
    cores = sorted(os.sched_getaffinity(0))[:number]
    os.sched_setaffinity(0, cores)
    return len(cores)


class SubjectEnded(Exception):
    """A process of a subject ended before it answered."""


class Subject:
    """The processes of one subject. They wait between repeats, so that imports and warm-up happen only once.

    Subjects start at the same time; `ready` waits for them.
    """

    def __init__(self, script: str, python: str, orders: Sequence[dict[str, Any]], threads: int, folder: Path):
        """Start a process per order.

        Args:
            script: file in `subjects`, without its suffix.
            python: the interpreter to run it with.
            orders: first order of each process.
            threads: number of threads of each process.
            folder: folder for the output of the processes.
        """
        self.folder = folder
        self.folder.mkdir()
        self._log = open(self.folder / "log", "w+")  # noqa: SIM115
        self._processes = [
            subprocess.Popen(
                [python, str(SUBJECTS / f"{script}.py")],
                env=environment(threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                bufsize=1,
            )
            for _ in orders
        ]
        self._send([order | {"folder": str(self.folder / f"warm-up-{i}")} for i, order in enumerate(orders)])

    def wait(self) -> None:
        """Wait until imports and warm-up are done.

        Raises:
            SubjectEnded: a process ended; with the last line of its log.
        """
        self._answers()

    def repeat(self) -> dict[str, float]:
        """Do the work once; returns the sums of `n` and `cpu_seconds` and the maxima of `seconds` and `peak_mb`."""
        outputs = [self.folder / f"{number}" for number in range(len(self._processes))]
        self._send([{"folder": str(output)} for output in outputs])
        answers = self._answers()
        for output in outputs:
            shutil.rmtree(output)  # now, so that the disk is not busy with it while other subjects are timed
        return {
            "n": sum(answer["n"] for answer in answers),
            "seconds": max(answer["seconds"] for answer in answers),
            "cpu_seconds": sum(answer["cpu_seconds"] for answer in answers),
            "peak_mb": max(answer["peak_mb"] for answer in answers),
        }

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        self._log.close()

    def _send(self, orders: list[dict[str, Any]]) -> None:
        """Send each process its order. Whether one has ended shows when it does not answer."""
        for process, order in zip(self._processes, orders, strict=True):
            with suppress(BrokenPipeError):
                print(json.dumps(order), file=process.stdin)

    def _answers(self) -> list[dict[str, float]]:
        """Wait for the answers of all processes."""
        try:
            return [json.loads(process.stdout.readline()) for process in self._processes]
        except json.JSONDecodeError:
            self._log.seek(0)
            raise SubjectEnded((self._log.read().strip().splitlines() or ["no message"])[-1]) from None


def left_out(subject: str, reason: object) -> None:
    """Report that a subject does not take part. Without `gensis` there is no comparison, so the benchmark ends."""
    if subject == "gensis":
        sys.exit(f"error: gensis: {reason}")
    print(f"{subject} is left out: {reason}", file=sys.stderr)


def ready(subjects: dict[str, Subject]) -> dict[str, Subject]:
    """The subjects that have warmed up. One that cannot run here is left out, with the reason on stderr."""
    result = {}
    for name, subject in subjects.items():
        try:
            subject.wait()
            result[name] = subject
        except SubjectEnded as reason:
            left_out(name, reason)
    return result


def take_turns(subjects: dict[str, Subject], repeats: int) -> list[Round]:
    """Run all subjects in turn (A B C, A B C, ...), then end them. SIGTERM ends the turns after the last whole one."""
    rounds: list[Round] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for _ in range(repeats):
            rounds.append({name: subject.repeat() for name, subject in subjects.items()})
    except (KeyboardInterrupt, SubjectEnded) as reason:  # the subjects get the signal too
        if not rounds:
            sys.exit(f"error: no repeat was finished: {reason or 'stopped'}")
        print(f"stopped after {len(rounds)} of {repeats} repeats", file=sys.stderr)
    finally:
        for subject in subjects.values():
            subject.close()
    return rounds


def median(rounds: list[Round], name: str, measured: str) -> float:
    """Median over the repeats of a measurement of a subject."""
    return statistics.median(one[name][measured] for one in rounds)


def report(case: str, rounds: list[Round], unit: str, further: dict[str, dict[str, Any]]) -> None:
    """Print a JSON line per subject with medians over the repeats, then the ratios.

    Args:
        case: name of the case.
        rounds: measurements of the subjects, by repeat.
        unit: unit of the rates.
        further: subject -> further fields of its line.
    """
    rates = {name: [one[name]["n"] / one[name]["seconds"] for one in rounds] for name in rounds[0]}
    for name, values in rates.items():
        line = {
            "case": case,
            "subject": name,
            "n": int(rounds[0][name]["n"]),
            "seconds": round(median(rounds, name, "seconds"), 3),
            "rate": round(statistics.median(values), 1),
            "unit": unit,
            "rates": [round(value, 1) for value in values],
        }
        print(json.dumps(line | further[name]))
    for name in list(rates)[1:]:
        # Median of the ratios within repeats, because the speed of a machine drifts.
        ratio = statistics.median(ours / theirs for ours, theirs in zip(rates["gensis"], rates[name], strict=True))
        print(f"ratio {case} gensis/{name} {ratio:.2f}")
