"""Area under the ROC curve for many weightings of the items, whose scores are sorted once."""

import numpy as np

from gensis.evaluation.weighted import Weighted, mean_ratio, membership


def auroc(labels: np.ndarray, probabilities: np.ndarray) -> Weighted:
    """Mean over classes of the one-vs-rest area under the ROC curve; ties count half.

    Args:
        labels: int (N,).
        probabilities: float (N, K).
    """
    classes = [_Ranks(labels == k, probabilities[:, k]) for k in range(probabilities.shape[1])]

    def measured(weights: np.ndarray) -> np.ndarray:
        concordant, pairs = (np.stack(part) for part in zip(*(ranks.pairs(weights) for ranks in classes)))
        return mean_ratio(concordant, pairs)

    return measured


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
