"""Cross-validation folds that keep groups together."""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

Round = tuple[np.ndarray, np.ndarray]
_SEED = 0  # Always the same, so that every encoder and seed is measured on the same folds.


class Unmeasurable(Exception):
    """A metric cannot be measured on a data set; the message is the reason."""


def grouped_folds(labels: np.ndarray, groups: np.ndarray, folds: int) -> list[Round]:
    """Folds by group, stratified by class as far as groups allow. A rare class may be missing in some folds.

    Args:
        labels: int (N,).
        groups: int (N,).
        folds: largest number of folds; there are fewer if no class occurs in so many groups.

    Returns:
        (train, test) indices of each fold; each item is in one test part.

    Raises:
        Unmeasurable: fewer than two classes occur in two groups or more, as needed to train and test on both.
    """
    per_class = groups_per_class(labels, groups)
    if np.count_nonzero(per_class >= 2) < 2:
        raise Unmeasurable("too few groups: fewer than two classes lie in two or more groups (patients, cases)")
    folds = min(folds, int(per_class.max()))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # rare classes may be missing, see above
        if len(np.unique(groups)) == len(groups):
            # Each item is its own group: stratification by item is equivalent, and much faster.
            rounds = list(StratifiedKFold(folds, shuffle=True, random_state=_SEED).split(labels, labels))
        else:
            rounds = list(StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED).split(labels, labels, groups))
    return [(train, test) for train, test in rounds if len(test)]


def groups_per_class(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Number of groups that each class occurs in: int (K,)."""
    return np.bincount(np.unique(np.stack([labels, groups]), axis=1)[0])


def holdouts(labels: np.ndarray, groups: np.ndarray) -> list[Round]:
    """Splits of train into four fifths to fit and one fifth to validate, by group: (fit, validation) indices.

    A validation part has two classes or more, all of which occur in its fit part. Empty if there are too few groups.
    """
    try:
        rounds = grouped_folds(labels, groups, 5)
    except Unmeasurable:
        return []
    known = [(fit, validation[np.isin(labels[validation], labels[fit])]) for fit, validation in rounds]
    return [(fit, validation) for fit, validation in known if len(np.unique(labels[validation])) > 1]
