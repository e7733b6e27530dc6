"""Small parts of the labels, as where few are known."""

import numpy as np

DRAWS = 5
_SEED = 0  # One for all, so that every encoder and seed learns from the same labels.


def draws(labels: np.ndarray, groups: np.ndarray, share: float) -> list[np.ndarray]:
    """Whole groups at random: of each class a share of those that it lies in, and at least one.

    Args:
        labels: int (N,), of train.
        groups: int (N,).
        share: part of the groups.

    Returns:
        DRAWS times indices of the items whose labels are known. Where groups hold several classes they may be more
        than the share, for each class brings its own.
    """
    return [_draw(labels, groups, share, np.random.default_rng((_SEED, number))) for number in range(DRAWS)]


def _draw(labels: np.ndarray, groups: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    chosen = []
    for label in np.unique(labels):
        candidates = np.unique(groups[labels == label])
        chosen.append(generator.choice(candidates, max(1, round(share * len(candidates))), replace=False))
    return np.flatnonzero(np.isin(groups, np.concatenate(chosen)))
