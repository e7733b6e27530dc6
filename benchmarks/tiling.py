"""How many tiles a second this pipeline cuts, beside raw OpenSlide and other tools, in one run. See README.md."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import h5py

ROOT = Path(__file__).parents[1]
SUBJECTS = ROOT / "benchmarks" / "subjects"
sys.path.insert(0, str(SUBJECTS))

from with_gensis import tile_one  # noqa: E402
from worker import Slide  # noqa: E402

DATA = Path(os.environ.get("GENSIS_DATA", ROOT.parent / "shared" / "data")) / "histology"
# What a case reads: every third of 30 slides, or one; how often in a repeat, so that it lasts for seconds; um/px where
# the file does not say.
CASES: dict[str, tuple[str, int, int, float | None]] = {
    "jpeg": ("lymphoma/*.tiff", 3, 6, None),
    "jpeg2000": ("aperio/tcga-*.svs", 1, 8, 0.5),
}
TARGET_MPP = 0.5
OWN = ("gensis", "openslide", "openslide-pil")
PEERS = ("hs2p", "hs2p-tifffile", "tiatoolbox")
PROCESSES = 2
_THREADS_OF = ("OMP", "OPENBLAS", "MKL", "NUMBA", "OPENCV_FOR")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in _THREADS_OF} | {"VIPS_CONCURRENCY": "1"}


def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line a subject, then the ratios."""
    with tempfile.TemporaryDirectory(prefix="tiling-") as name:
        folder = Path(name)
        slides = grids(*chosen(arguments), arguments.tile_px, folder / "grids")
        subjects = start(arguments.peers, slides, folder)
        try:
            rounds = [{name: subject.tile() for name, subject in subjects.items()} for _ in range(arguments.repeats)]
        finally:
            for subject in subjects.values():
                subject.close()
    report(arguments.case, rounds)


def chosen(arguments: argparse.Namespace) -> tuple[list[Path], float | None]:
    """The slides to tile, each as often as it is to be tiled, and um/px at full resolution where the files lack it."""
    if arguments.slides:
        paths = [file for path in arguments.slides for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
        return paths, arguments.mpp
    pattern, step, copies, mpp = CASES[arguments.case]
    files = sorted(DATA.glob(pattern))[::step]
    if not files:
        sys.exit(f"error: no slides at {DATA / pattern}: name some with --slides, or set GENSIS_DATA")
    return files * copies, arguments.mpp or mpp


def grids(paths: Sequence[Path], mpp: float | None, tile_px: int, folder: Path) -> list[Slide]:
    """Tile each slide once, not timed, to learn the grid that all subjects get."""
    folder.mkdir()
    known: dict[Path, Slide] = {}
    for path in dict.fromkeys(paths):
        unit = str(len(known))
        outcome = tile_one(path, mpp, tile_px, TARGET_MPP, unit, folder)
        if outcome["outcome"] != "ok":
            sys.exit(f"error: {path} is {outcome['outcome']}: {outcome['reason']}")
        with h5py.File(folder / f"{unit}.h5") as store:
            of = store.attrs
            known[path] = Slide(
                path=str(path.resolve()),
                mpp=float(of["mpp_x"]),
                target_mpp=TARGET_MPP,
                tile_px=tile_px,
                level=int(of["read_level"]),
                width=float(of["read_width_px"]),
                height=float(of["read_height_px"]),
                coords=store["coords"][:].tolist(),
            )
    return [known[path] for path in paths]


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Processes started meanwhile stay on one core, whatever threads they have."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


class Ended(Exception):
    """A process of a subject ended early."""


class Subject:
    """The processes of one subject. They wait between repeats, so that imports and warm-up are paid once."""

    def __init__(self, name: str, python: str, slides: list[Slide], folder: Path):
        """Start the processes. Slides are dealt out in turn."""
        self.folder = folder / name
        self.folder.mkdir()
        self._log = open(self.folder / "log", "w+")  # noqa: SIM115
        self._processes = [
            subprocess.Popen(
                [python, str(SUBJECTS / f"with_{name.replace('-', '_')}.py")],
                env=os.environ | ONE_THREAD,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                bufsize=1,
            )
            for _ in range(PROCESSES)
        ]
        shares = [[asdict(slide) for slide in slides[number::PROCESSES]] for number in range(PROCESSES)]
        self._answers(
            [{"slides": share, "folder": str(self.folder / f"warm-up-{i}")} for i, share in enumerate(shares)]
        )

    def tile(self) -> dict[str, float]:
        """Tile all slides once: `tiles` and `cpu_seconds` in all, `seconds` and `peak_mb` of the worse process."""
        outputs = [self.folder / f"{number}" for number in range(PROCESSES)]
        answers = self._answers([{"folder": str(output)} for output in outputs])
        for output in outputs:
            shutil.rmtree(output)  # before the disk is busy with it while others are timed
        return {
            "tiles": sum(answer["tiles"] for answer in answers),
            "seconds": max(answer["seconds"] for answer in answers),
            "cpu_seconds": sum(answer["cpu_seconds"] for answer in answers),
            "peak_mb": max(answer["peak_mb"] for answer in answers),
        }

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.stdin.close()
            process.wait()
        self._log.close()

    def _answers(self, orders: list[dict]) -> list[dict]:
        """Give each process its order and wait for all answers."""
        try:
            for process, order in zip(self._processes, orders, strict=True):
                print(json.dumps(order), file=process.stdin)
            return [json.loads(process.stdout.readline()) for process in self._processes]
        except (BrokenPipeError, json.JSONDecodeError):
            self._log.seek(0)
            raise Ended((self._log.read().strip().splitlines() or ["no message"])[-1]) from None


def start(peers: str | None, slides: list[Slide], folder: Path) -> dict[str, Subject]:
    """Start all subjects. One that does not work here is left out, and the reason goes to stderr."""
    subjects = {}
    for name in OWN + PEERS:
        python = sys.executable if name in OWN else peers
        if not python:
            print(f"{name} is left out: name an environment that has it with --peers", file=sys.stderr)
            continue
        try:
            subjects[name] = Subject(name, python, slides, folder)
        except Ended as reason:
            print(f"{name} is left out: {reason}", file=sys.stderr)
    return subjects


def report(case: str, rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print medians over the repeats. A ratio is the median of the repeats' own ratios, for machines drift."""
    rates = {name: [one[name]["tiles"] / one[name]["seconds"] for one in rounds] for name in rounds[0]}
    for name, values in rates.items():
        tiles = int(rounds[0][name]["tiles"])
        line = {
            "case": case,
            "subject": name,
            "n": tiles,
            "seconds": round(statistics.median(one[name]["seconds"] for one in rounds), 3),
            "rate": round(statistics.median(values), 1),
            "unit": "tiles/s",
            "rates": [round(value, 1) for value in values],
            "cpu_ms_per_tile": round(statistics.median(one[name]["cpu_seconds"] for one in rounds) / tiles * 1000, 3),
            "tiles_to_gensis": round(tiles / rounds[0]["gensis"]["tiles"], 3),
            "peak_mb": round(max(one[name]["peak_mb"] for one in rounds)),
        }
        print(json.dumps(line))
    for name in list(rates)[1:]:
        ratio = statistics.median(ours / theirs for ours, theirs in zip(rates["gensis"], rates[name], strict=True))
        print(f"ratio {case} gensis/{name} {ratio:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, default="jpeg")
    parser.add_argument("--slides", type=Path, nargs="+", help="slides or folders of them, in place of the case's")
    parser.add_argument("--mpp", type=float, help="um/px at full resolution, where the slides do not say")
    parser.add_argument("--tile-px", type=int, default=256)
    parser.add_argument("--peers", help="Python of the environment that holds hs2p and tiatoolbox")
    parser.add_argument("--repeats", type=int, default=5)
    main(parser.parse_args())
