"""Features of mean 0 and standard deviation 1, as measured on train."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Standardisation:
    """Mean and standard deviation of each feature, float32 (D,)."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, train: np.ndarray) -> "Standardisation":
        """Measure float32 (N, D) features; one that is constant keeps its scale."""
        deviation = train.std(axis=0, dtype=np.float64)
        deviation[deviation == 0] = 1
        return cls(train.mean(axis=0, dtype=np.float64).astype(np.float32), deviation.astype(np.float32))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Standardise float32 (N, D) features."""
        return (features - self.mean) / self.deviation
