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
        kinds = _occurring(rank, positive)
        begins = (kinds[:, 1:] != kinds[:, :-1]).any(axis=0) | kinds[:, 1:].all(axis=0)
        run = np.append(0, begins.cumsum())[rank]
        kinds = _occurring(run, positive)
        negatives, positives = kinds.cumsum(axis=1)
        self._negatives = negatives[-1]
        # The sums of the negative cells come first, so that they are added up without those of the positive cells.
        self._sum = membership(np.where(positive, negatives[-1] + positives[run], negatives[run]) - 1, kinds.sum())
        self._up_to = negatives[kinds[1]]
        self._below = self._up_to - kinds[0, kinds[1]]

    def pairs(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of pairs of a positive and a negative item with a higher score of the positive (ties half), and of
        all such pairs: float64 (B,) each, of (N, B) weights.
        """
        cells = self._sum @ weights
        positives = cells[self._negatives :].astype(np.float64)
        negatives = np.zeros((self._negatives + 1, weights.shape[1]), cells.dtype)
        np.cumsum(cells[: self._negatives], axis=0, out=negatives[1:], dtype=cells.dtype)
        concordant = np.einsum("ib,ib->b", positives, negatives[self._up_to] + negatives[self._below]) / 2
        return concordant, positives.sum(0) * negatives[-1]


def _occurring(codes: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Whether each code from 0 on has negative and positive items: bool (2, codes)."""
    result = np.zeros((2, codes.max() + 1), bool)
    result[positive.astype(int), codes] = True
    return result
