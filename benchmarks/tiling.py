"""Tiles per second of this pipeline, beside raw OpenSlide and other tools, in one run. See README.md."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import h5py
from side_by_side import DATA, SUBJECTS, Round, Subject, left_out, median, ready, report, take_turns, use_cores

sys.path.insert(0, str(SUBJECTS))

from slides import Slide
from with_gensis import tile_one

# Of each case: pattern of files; step (3: every third of 30 slides); how often each slide is tiled in a repeat, so that
# a repeat takes seconds; um/px where the file does not state it.
CASES: dict[str, tuple[str, int, int, float | None]] = {
    "jpeg": ("lymphoma/*.tiff", 3, 6, None),
    "jpeg2000": ("aperio/tcga-*.svs", 1, 8, 0.5),
}
TARGET_MPP = 0.5
OWN = ("gensis", "openslide", "openslide-pil")
PEERS = ("hs2p", "hs2p-tifffile", "tiatoolbox")
PROCESSES = 2


def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line per subject, then the ratios."""
    use_cores(PROCESSES)
    with tempfile.TemporaryDirectory(prefix="tiling-") as name:
        folder = Path(name)
        slides = grids(*slides_to_tile(arguments), arguments.tile_px, folder / "grids")
        rounds = take_turns(start(arguments.peers, slides, folder), arguments.repeats)
    report(arguments.case, rounds, "tiles/s", {name: further(rounds, name) for name in rounds[0]})


def slides_to_tile(arguments: argparse.Namespace) -> tuple[list[Path], float | None]:
    """Slides to tile, each as often as it is tiled in a repeat, and um/px at full resolution if the files lack it."""
    if arguments.slides:
        paths = [file for path in arguments.slides for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
        return paths, arguments.mpp
    pattern, step, copies, mpp = CASES[arguments.case]
    files = sorted((DATA / "histology").glob(pattern))[::step]
    if not files:
        sys.exit(f"error: no slides at {DATA / 'histology' / pattern}: pass slides with --slides, or set GENSIS_DATA")
    return files * copies, arguments.mpp or mpp


def grids(paths: Sequence[Path], mpp: float | None, tile_px: int, folder: Path) -> list[Slide]:
    """Tile each slide once, untimed, to get the grid that all subjects use."""
    folder.mkdir()
    slides: dict[Path, Slide] = {}
    for path in dict.fromkeys(paths):
        unit = str(len(slides))
        outcome = tile_one(path, mpp, tile_px, TARGET_MPP, unit, folder)
        if outcome["outcome"] != "ok":
            sys.exit(f"error: {path} has the outcome {outcome['outcome']}: {outcome['reason']}")
        with h5py.File(folder / f"{unit}.h5") as store:
            attributes = store.attrs
            slides[path] = Slide(
                path=str(path.resolve()),
                mpp=float(attributes["mpp_x"]),
                target_mpp=TARGET_MPP,
                tile_px=tile_px,
                level=int(attributes["read_level"]),
                width=float(attributes["read_width_px"]),
                height=float(attributes["read_height_px"]),
                coords=store["coords"][:].tolist(),
            )
    return [slides[path] for path in paths]


def start(peers: str | None, slides: list[Slide], folder: Path) -> dict[str, Subject]:
    """Start all subjects, with slides assigned to their processes in turn. A subject that cannot run is left out."""
    orders = [{"slides": [asdict(slide) for slide in slides[number::PROCESSES]]} for number in range(PROCESSES)]
    subjects = {}
    for name in OWN + PEERS:
        python = sys.executable if name in OWN else peers
        if not python:
            left_out(name, "pass an environment that has it with --peers")
            continue
        subjects[name] = Subject(f"with_{name.replace('-', '_')}", python, orders, 1, folder / name)
    return ready(subjects)


def further(rounds: list[Round], name: str) -> dict[str, float]:
    """Further fields of a subject's line."""
    tiles = rounds[0][name]["n"]
    return {
        "cpu_ms_per_tile": round(median(rounds, name, "cpu_seconds") / tiles * 1000, 3),
        "tiles_to_gensis": round(tiles / rounds[0]["gensis"]["n"], 3),
        "peak_mb": round(max(one[name]["peak_mb"] for one in rounds)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, default="jpeg")
    parser.add_argument("--slides", type=Path, nargs="+", help="slides or folders of slides, instead of the case's")
    parser.add_argument("--mpp", type=float, help="um/px at full resolution, if the slides do not state it")
    parser.add_argument("--tile-px", type=int, default=256)
    parser.add_argument("--peers", help="Python of the environment that holds hs2p and tiatoolbox")
    parser.add_argument("--repeats", type=int, default=5)
    main(parser.parse_args())
