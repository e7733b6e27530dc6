"""Selected rows of a store as a short text: ``0-17,19,22-40``. Empty: all rows; ``none``: no rows."""

import numpy as np

ALL, NONE = "", "none"


def format_rows(chosen: np.ndarray) -> str:
    """The text for a mask, bool (N,)."""
    if chosen.all():
        return ALL
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    ranges = [str(a) if a + 1 == b else f"{a}-{b - 1}" for a, b in zip(edges[::2].tolist(), edges[1::2].tolist())]
    return ",".join(ranges) or NONE


def parse_ranges(text: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """First row and number of rows of each range of a text, in order: int64 (ranges,) twice.

    Args:
        text: as `format_rows` writes it.
        count: number of all rows, for which the empty text stands.
    """
    if text in (ALL, NONE):
        ends = [(0, "", count - 1)] if text == ALL and count else []
    else:
        ends = [part.partition("-") for part in text.split(",")]
    first = np.array([int(first) for first, _, _ in ends], np.int64)
    return first, np.array([int(last or first) for first, _, last in ends], np.int64) - first + 1


def parse_rows(text: str, count: int) -> np.ndarray:
    """The rows of a text, in order: int64 (n,). Arguments as those of `parse_ranges`."""
    first, length = parse_ranges(text, count)
    begins = np.cumsum(length) - length
    return np.arange(length.sum()) + np.repeat(first - begins, length)
