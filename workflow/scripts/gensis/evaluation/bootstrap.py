"""Intervals from resampling groups."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

_SEED = 0  # One for all, so that two encoders are measured on the same resamples.
_CHUNK_VALUES = 1 << 19  # 4 MB: larger ones leave the cache and take twice as long


def intervals(
    measure: Callable[[np.ndarray], dict[str, np.ndarray]], groups: np.ndarray, resamples: int
) -> dict[str, tuple[float, float]]:
    """95 % intervals of metrics under resampling of whole groups: items of one group are no news.

    Of G groups, resamples vary too little by a factor of (1 - 1/G)^(1/2), and the normal distribution, which plain
    percentiles stand for, is narrower than Student's. Percentiles further out make up for both (the expanded percentile
    interval: Hesterberg 2015, arXiv 1411.5279, 4.3); from 50 groups on hardly anything changes. benchmarks/coverage.py
    measures how often intervals hold the truth.

    Args:
        measure: float64 (N, B) weights of the items -> name -> (B,) values, NaN where a resample has none.
        groups: int (N,).
        resamples: how many; with none, or a single group, there are no intervals.
    """
    if not (values := resampled(measure, groups, resamples)):
        return {}
    ends = expanded_percentiles(len(np.unique(groups)))
    return {name: tuple(np.nanpercentile(value, ends).tolist()) for name, value in values.items()}


def expanded_percentiles(groups: int) -> tuple[float, float]:
    """Between which percentiles of a bootstrap of so many groups, two or more, a 95 % interval lies."""
    further = stats.t.ppf(0.975, groups - 1) * (groups / (groups - 1)) ** 0.5
    return 100 * float(stats.norm.cdf(-further)), 100 * float(stats.norm.cdf(further))


def resampled(
    measure: Callable[[np.ndarray], dict[str, np.ndarray]], groups: np.ndarray, resamples: int
) -> dict[str, np.ndarray]:
    """Metrics of resamples, float64 (resamples,); arguments as in `intervals`."""
    codes = np.unique(groups, return_inverse=True)[1]
    if resamples == 0 or codes.max() == 0:
        return {}
    parts = [measure(weights) for weights in _weightings(codes, resamples)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
