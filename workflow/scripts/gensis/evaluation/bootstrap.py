"""Bootstrap confidence intervals from resampling groups."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

_SEED = 0  # Always the same, so that two encoders are measured on the same resamples.
_CHUNK_VALUES = 1 << 22  # 16 MB: sums of items that lie apart are fastest if a chunk has several resamples


def intervals(
    measure: Callable[[np.ndarray], dict[str, np.ndarray]], groups: np.ndarray, resamples: int
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of metrics. Whole groups are resampled, since items of one group are not independent.

    Resamples of G groups vary too little, by a factor of (1 - 1/G)^(1/2), and plain percentiles assume the normal
    distribution, which is narrower than Student's. Wider percentiles correct both (expanded percentile interval:
    Hesterberg 2015, arXiv 1411.5279, 4.3). With 50 groups or more they hardly change the interval.
    benchmarks/coverage.py measures the coverage of the intervals.

    Args:
        measure: function of int32 (N, B) weights of the items: name -> (B,) values, NaN where a resample has none.
        groups: int (N,): group of each item.
        resamples: number of resamples. Without resamples, or with a single group, there are no intervals.
    """
    if not (values := resampled(measure, groups, resamples)):
        return {}
    ends = expanded_percentiles(len(np.unique(groups)))
    return {name: tuple(np.nanpercentile(value, ends).tolist()) for name, value in values.items()}


def expanded_percentiles(groups: int) -> tuple[float, float]:
    """Lower and upper percentile of a 95 % interval from a bootstrap of ``groups`` groups, two or more."""
    further = stats.t.ppf(0.975, groups - 1) * (groups / (groups - 1)) ** 0.5
    return 100 * float(stats.norm.cdf(-further)), 100 * float(stats.norm.cdf(further))


def resampled(
    measure: Callable[[np.ndarray], dict[str, np.ndarray]], groups: np.ndarray, resamples: int
) -> dict[str, np.ndarray]:
    """Metrics of all resamples: name -> float64 (resamples,). Arguments as in `intervals`."""
    codes = np.unique(groups, return_inverse=True)[1]
    if resamples == 0 or codes.max() == 0:
        return {}
    parts = [measure(weights) for weights in _weightings(codes, resamples)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _weightings(codes: np.ndarray, resamples: int) -> Iterator[np.ndarray]:
    """Draws of each item, int32 (N, B), in chunks of B resamples. In float32, counts above 2^24 would be inexact."""
    generator = np.random.default_rng(_SEED)
    groups = codes.max() + 1
    chunk = max(1, _CHUNK_VALUES // len(codes))
    one = np.uint8(1)  # numpy adds a 1 of another type 20 times as slowly
    for start in range(0, resamples, chunk):
        # A byte is enough: that one of 256 groups or more is drawn more often has a probability below 1e-500.
        counts = np.zeros((min(chunk, resamples - start), groups), np.uint8)
        for resample in counts:
            np.add.at(resample, generator.integers(groups, size=groups), one)
        yield counts.T.take(codes, axis=0).astype(np.int32)
