"""Area under the ROC curve for many weightings of the items, whose scores are sorted once."""

from itertools import pairwise

import numpy as np

from gensis.evaluation.metrics import mean_ratio, membership


class Auroc:
    """Mean over folds of the mean over classes of the one-vs-rest area under the ROC curve; ties count half.

    Folds are not pooled, since probabilities of their models have no common scale.
    """

    def __init__(self, fold: np.ndarray, labels: np.ndarray, probabilities: np.ndarray):
        """Sort the scores.

        Args:
            fold: int (N,): fold of each item, ascending.
            labels: int (N,).
            probabilities: float (N, K).
        """
        ends = np.flatnonzero(np.diff(fold, prepend=fold[0] - 1, append=fold[-1] + 1))
        self._folds = [slice(*pair) for pair in pairwise(ends)]
        self._classes = [
            [_Ranks(labels[own] == k, probabilities[own, k]) for k in range(probabilities.shape[1])]
            for own in self._folds
        ]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """float64 (B,) of float64 (N, B) weights, leaving out classes and folds without a pair of items to compare."""
        areas = []
        for own, classes in zip(self._folds, self._classes):
            counted = zip(*(ranks.pairs(weights[own]) for ranks in classes))
            areas.append(mean_ratio(*(np.stack(part) for part in counted)))
        values = np.stack(areas)
        return mean_ratio(np.nan_to_num(values), np.isfinite(values).astype(float))


class _Ranks:
    """The order of one class's scores.

    Items of neighbouring scores that are all positive, or all negative, form a run: their order does not matter. A
    score that both have is a run of its own. A cell is the positive or the negative items of a run.
    """

    def __init__(self, positive: np.ndarray, scores: np.ndarray):
        rank = np.unique(scores, return_inverse=True)[1]
        kinds = np.stack([np.bincount(rank[kind], minlength=rank.max() + 1) > 0 for kind in (~positive, positive)])
        begins = (kinds[:, 1:] != kinds[:, :-1]).any(axis=0) | kinds[:, 1:].all(axis=0)
        cell = 2 * np.append(0, begins.cumsum())[rank] + positive
        cells = np.flatnonzero(np.bincount(cell))
        self._sum = membership(np.searchsorted(cells, cell), len(cells))
        self._is_positive = cells % 2 == 1
        self._place = np.flatnonzero(self._is_positive)
        self._tied = np.isin(cells[self._place] - 1, cells, assume_unique=True)

    def pairs(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of pairs of a positive and a negative item with a higher score of the positive (ties half), and of
        all such pairs: (B,) each, of (N, B) weights.
        """
        cells = self._sum @ weights
        positives = cells[self._place]
        below = np.zeros((len(cells) + 1, weights.shape[1]))
        np.cumsum(np.where(self._is_positive[:, None], 0, cells), axis=0, out=below[1:])
        concordant = (positives * (below[self._place] + below[self._place - self._tied])).sum(0) / 2
        return concordant, positives.sum(0) * below[-1]
