"""How fast nearest neighbours are found, beside other libraries, in one run. See README.md."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import Ended, Round, Subject, left_out, median, report, take_turns, use_cores

CORES = 2
PEERS = ("faiss", "scikit-learn")
TRAIN, TEST, FEATURES, NEIGHBOURS = 50_000, 10_000, 384, 200
TOY = 50
"""Divides the numbers of images."""


def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line a subject, then the ratios."""
    use_cores(CORES)
    with tempfile.TemporaryDirectory(prefix="evaluation-") as name:
        folder = Path(name)
        order = make_features(folder, TOY if arguments.toy else 1) | {"neighbours": NEIGHBOURS}
        subjects = start(order, arguments.peers, folder)
        agreement = {name: agreed(folder / name, folder / "gensis") for name in subjects}
        rounds = take_turns(subjects, arguments.repeats)
    report("knn", rounds, "images/s", {name: further(rounds, name, agreement[name]) for name in rounds[0]})


def make_features(folder: Path, divisor: int) -> dict[str, str]:
    """Features drawn at random: how they lie matters to none of the subjects, for all compare every pair."""
    generator = np.random.default_rng(0)
    paths = {}
    for part, images in {"train": TRAIN // divisor, "test": TEST // divisor}.items():
        paths[part] = str(folder / f"{part}.npy")
        np.save(paths[part], generator.normal(size=(images, FEATURES)).astype(np.float32))
    return paths


def start(order: dict[str, Any], peers: str | None, folder: Path) -> dict[str, Subject]:
    """Start all subjects. One that does not work here is left out, and the reason goes to stderr."""
    subjects = {}
    for name in ("gensis", *PEERS):
        python = sys.executable if name == "gensis" else peers or sys.executable
        script = f"knn_with_{name.replace('-', '_')}"
        try:
            subjects[name] = Subject(script, python, [order | {"threads": CORES}], CORES, folder / name)
        except Ended as reason:
            left_out(name, reason)
    return subjects


def agreed(theirs: Path, ours: Path) -> float:
    """Share of a subject's neighbours that are ours too."""
    found, expected = (np.sort(np.load(folder / "warm-up-0/neighbours.npy")) for folder in (theirs, ours))
    return float(np.mean([np.isin(*pair, assume_unique=True).mean() for pair in zip(found, expected, strict=True)]))


def further(rounds: list[Round], name: str, agreement: float) -> dict[str, float]:
    """The rest of a subject's line."""
    return {
        "cpu_seconds": round(median(rounds, name, "cpu_seconds"), 2),
        "peak_mb": round(max(one[name]["peak_mb"] for one in rounds)),
        "same_neighbours": round(agreement, 6),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=("knn",), default="knn")
    parser.add_argument("--peers", help="Python of the environment that holds faiss and scikit-learn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--toy", action="store_true", help="as small as it goes: shows that it runs")
    main(parser.parse_args())
