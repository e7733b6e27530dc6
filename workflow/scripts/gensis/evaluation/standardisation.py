"""Standardisation of features by the mean and standard deviation of training items."""

from dataclasses import dataclass

import numpy as np

_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Standardisation:
    """Mean and standard deviation of each feature, float32 (D,)."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, *parts: np.ndarray) -> "Standardisation":
        """Measure float32 (N, D) features, given in one or several parts. A constant feature is not scaled."""
        blocks = [part[start : start + _BLOCK_ROWS] for part in parts for start in range(0, len(part), _BLOCK_ROWS)]
        count = sum(map(len, blocks))
        mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / count
        deviation = np.sqrt(sum(np.square(block - mean).sum(axis=0) for block in blocks) / count)
        deviation[deviation <= np.finfo(np.float32).eps * np.abs(mean)] = 1
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Standardise float32 (N, D) features."""
        centred = features - self.mean
        return np.divide(centred, self.deviation, out=centred)
