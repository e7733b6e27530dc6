"""Speed of k-NN and linear probe, beside other libraries, in one run. See README.md."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import Round, Subject, median, ready, report, take_turns, use_cores

CORES = 2
TRAIN, TEST, FEATURES, NEIGHBOURS, CLASSES = 50_000, 10_000, 384, 200, 10
SIGNAL = 0.15
"""Difference of a feature's means in two classes, in standard deviations."""
TOY = 50
"""Divisor of the numbers of images at toy size."""


@dataclass(frozen=True)
class Case:
    """The subjects of a case, and how their results are compared with those of `gensis`."""

    peers: tuple[str, ...]
    compared: Callable[[Path, Path, Path], dict[str, float]]
    """Called with the folders of the data, of a subject's result and of that of `gensis`."""


def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line per subject, then the ratios."""
    cores, case = use_cores(CORES), CASES[arguments.case]
    with tempfile.TemporaryDirectory(prefix="evaluation-") as name:
        folder = Path(name)
        order = make_data(folder, TOY if arguments.toy else 1) | {"neighbours": NEIGHBOURS, "threads": cores}
        subjects = start(arguments.case, order, arguments.peers, cores, folder)
        results = {name: folder / name / "warm-up-0" for name in subjects}
        compared = {name: case.compared(folder, result, results["gensis"]) for name, result in results.items()}
        rounds = take_turns(subjects, arguments.repeats)
    report(arguments.case, rounds, "images/s", {name: further(rounds, name) | compared[name] for name in rounds[0]})


def make_data(folder: Path, divisor: int) -> dict[str, str]:
    """Write random features, with slightly different means by class, and labels; returns their paths."""
    generator = np.random.default_rng(0)
    means = SIGNAL * generator.normal(size=(CLASSES, FEATURES)) / np.sqrt(2)
    paths = {}
    for part, images in {"train": TRAIN // divisor, "test": TEST // divisor}.items():
        labels = generator.integers(CLASSES, size=images)
        features = means[labels] + generator.normal(size=(images, FEATURES))
        for name, values in {part: features.astype(np.float32), f"{part}_labels": labels}.items():
            paths[name] = str(folder / f"{name}.npy")
            np.save(paths[name], values)
    return paths


def start(case: str, order: dict[str, Any], peers: str | None, cores: int, folder: Path) -> dict[str, Subject]:
    """Start all subjects. A subject that cannot run here is left out, with the reason on stderr."""
    subjects = {}
    for name in ("gensis", *CASES[case].peers):
        python = sys.executable if name == "gensis" else peers or sys.executable
        script = f"{case}_with_{name.replace('-', '_')}"
        subjects[name] = Subject(script, python, [order], cores, folder / name)
    return ready(subjects)


def same_neighbours(data: Path, theirs: Path, ours: Path) -> dict[str, float]:
    """Share of a subject's neighbours that `gensis` finds too."""
    actual, expected = (np.sort(np.load(folder / "neighbours.npy")) for folder in (theirs, ours))
    same = np.mean([np.isin(*pair, assume_unique=True).mean() for pair in zip(actual, expected, strict=True)])
    return {"same_neighbours": round(float(same), 6)}


def accuracies(data: Path, theirs: Path, ours: Path) -> dict[str, float]:
    """Accuracy of a subject on the test images, and the share of its predictions that equal those of `gensis`."""
    labels = np.load(data / "test_labels.npy")
    actual, expected = (np.load(folder / "predicted.npy") for folder in (theirs, ours))
    return {"accuracy": float((actual == labels).mean()), "same_predictions": float((actual == expected).mean())}


CASES = {
    "knn": Case(("faiss", "scikit-learn"), same_neighbours),
    "linear": Case(("scikit-learn",), accuracies),
}


def further(rounds: list[Round], name: str) -> dict[str, float]:
    """Further fields of a subject's line."""
    return {
        "cpu_seconds": round(median(rounds, name, "cpu_seconds"), 2),
        "peak_mb": round(max(one[name]["peak_mb"] for one in rounds)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, default="knn")
    parser.add_argument("--peers", help="Python of the environment that holds faiss and scikit-learn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--toy", action="store_true", help="toy size, to check that the benchmark runs")
    main(parser.parse_args())
