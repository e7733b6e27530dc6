"""Time of k-NN, linear probe and metrics at the size of ImageNet, extrapolated from a fraction of it.

    python benchmarks/evaluation_size.py --threads 1

1.28 million training images, 50,000 test images, 384 random features, 1,000 classes. Prints a JSON line per case: what
was measured, its seconds, and the seconds of the whole: as many times more as the work is, which is proportional to
training images x test images (k-NN), training images x classes (linear: for the same number of steps), or test images x
classes (metrics). Metrics of a million predictions in two classes, as of tiles, are measured whole.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.predictions import Predictions
from gensis.evaluation.scoring import classification_metrics

TRAIN, TEST, FEATURES, CLASSES = 1_280_000, 50_000, 384, 1000
KS = (5, 10, 20, 100, 200)
RESAMPLES = 1000
TOY = 100
SIGNAL = 0.3
"""Standard deviation of a feature's mean over classes; within a class it is 1."""


@dataclass(frozen=True)
class Data:
    """Random features around a mean for each class."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    classes: int
    device: torch.device
    copies: int
    """Number of predictions of a test image, each of which counts as an image of its own."""


def knn(data: Data) -> None:
    """Votes of the nearest neighbours for all k."""
    options = {"ks": KS, "classes": data.classes, "temperature": 0.07, "device": data.device}
    knn_probabilities(data.train, data.train_labels, data.test, **options)


def linear(data: Data) -> None:
    """Choice of C, final fit and predictions."""
    images = np.arange(len(data.train))
    probe = fit_linear(data.train, data.train_labels, images, classes=data.classes, device=data.device)
    probe.probabilities(data.test)


def metrics(data: Data) -> None:
    """All metrics of the linear probe with their intervals."""
    labels = np.tile(data.test_labels, data.copies)
    images = np.arange(len(labels))
    noise = np.random.default_rng(1).random((len(images), data.classes), dtype=np.float32)
    noise[images, labels] += 0.5
    noise /= noise.sum(axis=1, keepdims=True)
    of_items = {"item": images, "group": images, "fold": np.zeros_like(images), "label": labels}
    predictions = Predictions(classes=tuple(map(str, range(data.classes))), **of_items, probabilities={"": noise})
    classification_metrics(("accuracy", "balanced_accuracy", "macro_f1", "auroc"), predictions, 0, RESAMPLES)


@dataclass(frozen=True)
class Case:
    """What is timed, and on which fraction."""

    run: Callable[[Data], None]
    train: int = 1
    test: int = 1
    classes: int = 1
    """Divisors of the numbers of images and classes."""
    copies: int = 1
    factor: int = 1
    """How many times more work the whole is."""


CASES = {
    "knn": Case(knn, train=20, test=20, factor=400),
    "linear": Case(linear, train=40, test=40, classes=10, factor=400),
    "metrics": Case(metrics, train=1280, test=20, factor=20),
    "metrics-of-tiles": Case(metrics, train=1280, classes=500, copies=20),
}


def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line per case."""
    torch.set_num_threads(arguments.threads)
    for name in arguments.case:
        case = CASES[name]
        device = torch.device(arguments.device)
        case.run(make_data(case, TOY, device))  # imports and first calls are not timed
        data = make_data(case, arguments.shrink, device)
        started, cpu = time.perf_counter(), time.process_time()
        case.run(data)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        size = {"train": len(data.train), "test": data.copies * len(data.test), "classes": data.classes}
        times = {"seconds": round(seconds, 2), "cpu_seconds": round(cpu_seconds, 2)}
        whole = {"extrapolated_cpu_s": round(cpu_seconds * case.factor)} if arguments.shrink == 1 else {}
        print(json.dumps({"case": name} | size | times | whole), flush=True)


def make_data(case: Case, shrink: int, device: torch.device) -> Data:
    """Random data of a case, with ``shrink`` times fewer images and classes."""
    classes = max(2, CLASSES // case.classes // shrink)
    generator = np.random.default_rng(0)
    means = SIGNAL * generator.standard_normal((classes, FEATURES), np.float32)

    def images(number: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(max(number // shrink, 2 * max(KS))) % classes
        return means[labels] + generator.standard_normal((len(labels), FEATURES), np.float32), labels

    return Data(
        *images(TRAIN // case.train), *images(TEST // case.test), classes=classes, device=device, copies=case.copies
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--shrink", type=int, default=1, help="divides all sizes, to check that the benchmark runs")
    main(parser.parse_args())
