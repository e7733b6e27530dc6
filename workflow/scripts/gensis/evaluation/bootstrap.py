"""Intervals from resampling groups."""

from collections.abc import Callable, Iterator

import numpy as np

_SEED = 0  # One for all, so that two encoders are measured on the same resamples.
_CHUNK_VALUES = 1 << 19  # 4 MB: larger ones leave the cache and take twice as long


def intervals(
    measure: Callable[[np.ndarray], dict[str, np.ndarray]], groups: np.ndarray, resamples: int
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of metrics under resampling of whole groups: items of one group are no news.

    Args:
        measure: float64 (N, B) weights of the items -> name -> (B,) values, NaN where a resample has none.
        groups: int (N,).
        resamples: how many; with none, or a single group, there are no intervals.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    if resamples == 0 or codes.max() == 0:
        return {}
    parts = [measure(weights) for weights in _weightings(codes, resamples)]
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: tuple(np.nanpercentile(value, [2.5, 97.5]).tolist()) for name, value in values.items()}


def _weightings(codes: np.ndarray, resamples: int) -> Iterator[np.ndarray]:
    """How often each item is drawn: float64 (N, B), for float32 counts no further than 2^24; B bounded by memory."""
    generator = np.random.default_rng(_SEED)
    groups = codes.max() + 1
    chunk = max(1, _CHUNK_VALUES // len(codes))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        draws = generator.integers(groups, size=(size, groups)) + groups * np.arange(size)[:, None]
        counts = np.bincount(draws.ravel(), minlength=size * groups).reshape(size, groups)
        yield counts.T.astype(np.float64)[codes]
