"""Real images that a bank's images are compared with: neighbours of a source, others of its class, any others."""

import numpy as np
import torch

from gensis.evaluation.neighbours import nearest_others

NEIGHBOURS = 4
"""One of so many nearest neighbours is drawn: those that a bank of a few variants would hold."""
NO_IMAGE = -1


def draw_references(
    features: np.ndarray, labels: np.ndarray, sources: np.ndarray, *, seed: int, device: torch.device
) -> dict[str, np.ndarray]:
    """Draw one image of each kind for each source, never the source itself.

    Args:
        features: float32 (K, D): embeddings of real images by the encoder of the bank.
        labels: int64 (K,): their classes, -1 for images without one.
        sources: int64 (n,): rows of the sources.
        seed: of the draws.
        device: device that neighbours are searched on.

    Returns:
        Kind -> int64 (n,) rows, NO_IMAGE where a source has no such image: `neighbours` (one of the nearest four),
        `same_class` (any other image of the class) and `others` (any other image).
    """
    generator = np.random.default_rng(seed)
    return {
        "neighbours": _neighbours(features, sources, generator, device),
        "same_class": _same_class(labels, sources, generator),
        "others": (sources + generator.integers(1, len(features), len(sources))) % len(features),
    }


def _neighbours(
    features: np.ndarray, sources: np.ndarray, generator: np.random.Generator, device: torch.device
) -> np.ndarray:
    nearest = nearest_others(features, sources, NEIGHBOURS, device)
    return nearest[np.arange(len(sources)), generator.integers(NEIGHBOURS, size=len(sources))]


def _same_class(labels: np.ndarray, sources: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    by_class = np.argsort(labels, kind="stable")
    first, end = (np.searchsorted(labels[by_class], labels[sources], side) for side in ("left", "right"))
    others = end - first - 1
    place = np.argsort(by_class)[sources] - first
    step = 1 + generator.integers(np.maximum(others, 1))
    return np.where((labels[sources] >= 0) & (others > 0), by_class[first + (place + step) % (others + 1)], NO_IMAGE)
