"""Some rows of a store as a short text: ``0-17,19,22-40``. Empty: all rows; ``none``: none."""

import numpy as np

ALL, NONE = "", "none"


def format_rows(chosen: np.ndarray) -> str:
    """The text of bool (N,)."""
    if chosen.all():
        return ALL
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    ranges = [str(a) if a + 1 == b else f"{a}-{b - 1}" for a, b in zip(edges[::2].tolist(), edges[1::2].tolist())]
    return ",".join(ranges) or NONE


def parse_rows(text: str, count: int) -> np.ndarray:
    """The rows of a text, in order: int64 (n,).

    Args:
        text: as `format_rows` writes it.
        count: rows that the empty text stands for.
    """
    if text in (ALL, NONE):
        return np.arange(count if text == ALL else 0)
    ends = [part.partition("-") for part in text.split(",")]
    return np.concatenate([np.arange(int(first), int(last or first) + 1) for first, _, last in ends])
