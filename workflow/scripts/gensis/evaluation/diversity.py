"""How much images of one source differ from each other."""

import numpy as np


def mean_pairwise_distance(features: np.ndarray) -> float:
    """1 - cosine, averaged over all pairs of one source, then over sources: float (C, S, D), S > 1."""
    directions = features / np.linalg.norm(features, axis=2, keepdims=True).clip(min=1e-12)
    count = features.shape[1]
    pairs = (directions.sum(1) ** 2).sum(1) - count  # all ordered pairs of two different images
    return float(1 - (pairs / (count * (count - 1))).mean())


def pixel_deviation(pixels: np.ndarray) -> float:
    """Standard deviation of a pixel over the images of one source, averaged over pixels and sources: (C, S, P)."""
    return float(pixels.std(axis=1, ddof=1).mean())
