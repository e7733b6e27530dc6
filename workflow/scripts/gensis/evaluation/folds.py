"""Parts of a data set that no group straddles."""

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

Round = tuple[np.ndarray, np.ndarray]
_SEED = 0  # One for all, so that every encoder and seed is measured on the same folds.


class Unmeasurable(Exception):
    """A data set does not allow a measurement; the message is the reason."""


def grouped_folds(labels: np.ndarray, groups: np.ndarray, folds: int) -> list[Round]:
    """Stratified folds by group.

    Args:
        labels: int (N,).
        groups: int (N,).
        folds: how many at most; fewer if some class has fewer groups.

    Returns:
        (train, test) indices of each fold; each item is in one test part.

    Raises:
        Unmeasurable: a class lies in one group only, so that it cannot be both learnt and tested.
    """
    pairs = np.unique(np.stack([labels, groups]), axis=1)
    groups_per_class = np.unique(pairs[0], return_counts=True)[1]
    folds = min(folds, int(groups_per_class.min(initial=folds)))
    if folds < 2:
        raise Unmeasurable("too few groups: some class lies in fewer than two")
    if len(np.unique(groups)) == len(groups):
        # Each item is its own group: the same folds by definition, and much faster.
        rounds = StratifiedKFold(folds, shuffle=True, random_state=_SEED).split(labels, labels)
    else:
        rounds = StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED).split(labels, labels, groups)
    return [(train, test) for train, test in rounds if len(test)]


def holdouts(labels: np.ndarray, groups: np.ndarray) -> list[Round]:
    """Ways to set a fifth of train aside, by group, for choosing what training cannot: (fit, validation) indices.

    Empty where the groups are too few.
    """
    try:
        return grouped_folds(labels, groups, 5)
    except Unmeasurable:
        return []
