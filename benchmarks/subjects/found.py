"""What all subjects that look for neighbours do around it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from worker import Work, serve


def found_by(find: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]) -> None:
    """Serve a search: (N, D) train and (M, D) test features, k and threads to (M, k) indices into train."""

    def prepare(order: dict) -> Work:
        train, test = np.load(order["train"]), np.load(order["test"])

        def work(folder: Path) -> int:
            np.save(folder / "neighbours.npy", find(train, test, order["neighbours"], order["threads"]))
            return len(test)

        work(Path(order["folder"]))
        return work

    serve(prepare)
