"""Serves the subjects of `evaluation.py`: loads their input and writes their output."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from worker import Work, serve


def serve_search(find: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]) -> None:
    """Serve a nearest-neighbour search.

    Args:
        find: gets train features (N, D), test features (M, D), k and the number of threads; returns (M, k) indices
            into train.
    """

    def prepare(order: dict) -> Work:
        train, test = np.load(order["train"]), np.load(order["test"])
        return _work("neighbours", lambda: find(train, test, order["neighbours"], order["threads"]), len(test), order)

    serve(prepare)


def serve_classifier(predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Serve a classifier.

    Args:
        predict: gets train features (N, D), their labels (N,) and test features (M, D); returns predicted labels (M,).
    """

    def prepare(order: dict) -> Work:
        train, labels, test = (np.load(order[name]) for name in ("train", "train_labels", "test"))
        return _work("predicted", lambda: predict(train, labels, test), len(train), order)

    serve(prepare)


def _work(name: str, compute: Callable[[], np.ndarray], images: int, order: dict) -> Work:
    """Work that computes an array and writes it to `<name>.npy`; done once as a warm-up."""

    def work(folder: Path) -> int:
        np.save(folder / f"{name}.npy", compute())
        return images

    work(Path(order["folder"]))
    return work
