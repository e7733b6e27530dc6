"""Random subsets of the training labels, for evaluation with few labels."""

import numpy as np

DRAWS = 5
_SEED = 0  # Always the same, so that every encoder and seed is trained on the same labels.


def draws(labels: np.ndarray, groups: np.ndarray, share: float) -> list[np.ndarray]:
    """Draw whole groups at random: for each class a share of the groups that it occurs in, and at least one.

    Args:
        labels: int (N,), of training items.
        groups: int (N,).
        share: share of the groups.

    Returns:
        Indices of the items whose labels are used, for each of DRAWS draws. If groups have several classes, the items
        may be more than the share, since groups are drawn for each class.
    """
    return [_draw(labels, groups, share, np.random.default_rng((_SEED, number))) for number in range(DRAWS)]


def _draw(labels: np.ndarray, groups: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    chosen = []
    for label in np.unique(labels):
        candidates = np.unique(groups[labels == label])
        chosen.append(generator.choice(candidates, max(1, round(share * len(candidates))), replace=False))
    return np.flatnonzero(np.isin(groups, np.concatenate(chosen)))
