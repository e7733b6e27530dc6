"""Parts of a data set that no group straddles."""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

Round = tuple[np.ndarray, np.ndarray]
_SEED = 0  # One for all, so that every encoder and seed is measured on the same folds.


class Unmeasurable(Exception):
    """A data set does not allow a measurement; the message is the reason."""


def grouped_folds(labels: np.ndarray, groups: np.ndarray, folds: int) -> list[Round]:
    """Folds by group, as alike in their classes as these allow; a rare class may be absent from some.

    Args:
        labels: int (N,).
        groups: int (N,).
        folds: how many at most; fewer if no class lies in so many groups.

    Returns:
        (train, test) indices of each fold; each item is in one test part.

    Raises:
        Unmeasurable: fewer than two classes lie in two groups or more, so that no two can be both learnt and tested.
    """
    per_class = groups_per_class(labels, groups)
    if np.count_nonzero(per_class >= 2) < 2:
        raise Unmeasurable("too few groups: fewer than two classes lie in two or more groups (patients, cases)")
    folds = min(folds, int(per_class.max()))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # that it may be absent is said above
        if len(np.unique(groups)) == len(groups):
            # Each item is its own group: the same folds by definition, and much faster.
            rounds = list(StratifiedKFold(folds, shuffle=True, random_state=_SEED).split(labels, labels))
        else:
            rounds = list(StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED).split(labels, labels, groups))
    return [(train, test) for train, test in rounds if len(test)]


def groups_per_class(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """In how many groups each class lies, 0 for those that do not occur: int (K,)."""
    return np.bincount(np.unique(np.stack([labels, groups]), axis=1)[0])


def holdouts(labels: np.ndarray, groups: np.ndarray) -> list[Round]:
    """Ways to set a fifth of train aside, by group, for choosing what training cannot: (fit, validation) indices.

    Validation keeps no class that its fit part lacks, and holds two or more. Empty where the groups are too few.
    """
    try:
        rounds = grouped_folds(labels, groups, 5)
    except Unmeasurable:
        return []
    known = [(fit, validation[np.isin(labels[validation], labels[fit])]) for fit, validation in rounds]
    return [(fit, validation) for fit, validation in known if len(np.unique(labels[validation])) > 1]
