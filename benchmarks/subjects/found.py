"""What all subjects of evaluation do around their work."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from worker import Work, serve


def found_by(find: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]) -> None:
    """Serve a search: (N, D) train and (M, D) test features, k and threads to (M, k) indices into train."""

    def prepare(order: dict) -> Work:
        train, test = np.load(order["train"]), np.load(order["test"])
        return _written(
            "neighbours", lambda: find(train, test, order["neighbours"], order["threads"]), len(test), order
        )

    serve(prepare)


def told_by(tell: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Serve a classifier: (N, D) train features, (N,) labels and (M, D) test features to (M,) labels."""

    def prepare(order: dict) -> Work:
        train, labels, test = (np.load(order[name]) for name in ("train", "train_labels", "test"))
        return _written("predicted", lambda: tell(train, labels, test), len(train), order)

    serve(prepare)


def _written(name: str, find: Callable[[], np.ndarray], images: int, order: dict) -> Work:
    """Work on so many images that writes what is found; done once to warm up."""

    def work(folder: Path) -> int:
        np.save(folder / f"{name}.npy", find())
        return images

    work(Path(order["folder"]))
    return work
