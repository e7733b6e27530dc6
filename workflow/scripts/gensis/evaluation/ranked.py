"""Average precision of ranked lists by the trapezoidal rule, as the benchmarks Copydays and Oxford define it."""

import numpy as np


def average_precision(is_relevant: np.ndarray, relevant: int) -> float:
    """Area under the curve of precision over recall, between whose points it is linear.

    Args:
        is_relevant: bool (n,), whether each ranked item is relevant, the best first.
        relevant: number of relevant items, including those that were not ranked; NaN is returned for 0.
    """
    if not relevant:
        return float("nan")
    ranks = np.flatnonzero(is_relevant)
    found = np.arange(len(ranks))
    before = np.where(ranks > 0, found / np.maximum(ranks, 1), 1.0)
    return float((before + (found + 1) / (ranks + 1)).sum() / (2 * relevant))


def by_chance(relevant: int, items: int, ranked: int) -> float:
    """Its mean over all orders of the items.

    Args:
        relevant: number of relevant items.
        items: number of all items.
        ranked: length of the list, which has the first items of the order.
    """
    if not relevant:
        return float("nan")
    ranks = np.arange(min(ranked, items))
    share = (relevant - 1) / max(items - 1, 1)  # of an item before a relevant one
    before = np.where(ranks > 0, share, 1.0)
    return float((before + (1 + ranks * share) / (ranks + 1)).sum() / (2 * items))
