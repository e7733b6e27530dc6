"""Sign-flip test of the difference in balanced accuracy between encoders, over the tested groups."""

from collections.abc import Mapping, Sequence

import numpy as np

from gensis.evaluation.answers import Answers
from gensis.evaluation.paired import Pair

FLIPS = 9999
_VALUES = 1 << 21  # signs at a time, float64


def flip_groups(answers: Mapping[str, Answers], pairs: Sequence[Pair]) -> dict[tuple[Pair, str], float]:
    """Two-sided p-values of pairs and metrics (such as `balanced_accuracy_k20`), not corrected for multiple tests.

    Null hypothesis: within each group (patient, case), the answers of the two encoders could be exchanged. This changes
    the sign of the group's part of the difference. Monte Carlo over FLIPS random flips of all groups (Phipson and Smyth
    2010): five groups can never reach 5 %, six can.
    """
    tested = [
        (pair, suffix) for pair in pairs for suffix in answers[pair.encoder].predicted if _both(answers, pair, suffix)
    ]
    if not tested:
        return {}
    parts = np.stack([_parts(*_both(answers, pair, suffix), suffix) for pair, suffix in tested], axis=1)
    return {(pair, f"balanced_accuracy{suffix}"): p for (pair, suffix), p in zip(tested, flipped_p(parts).tolist())}


def flipped_p(parts: np.ndarray) -> np.ndarray:
    """p-values, float64 (M,), of the sums over groups of float64 (G, M) parts."""
    generator, observed = np.random.default_rng(0), np.abs(parts.sum(0))
    parts = parts[parts.any(1)]  # no sign changes the others
    as_large = np.zeros(parts.shape[1])
    block = max(1, _VALUES // max(len(parts), 1))
    for first in range(0, FLIPS, block):
        size = (min(block, FLIPS - first), len(parts))
        signs = 1.0 - 2.0 * generator.integers(0, 2, size, dtype=np.int8)
        as_large += (np.abs(signs @ parts) > observed - 1e-9).sum(0)
    return (as_large + 1) / (FLIPS + 1)


def _both(answers: Mapping[str, Answers], pair: Pair, suffix: str) -> tuple[Answers, Answers] | None:
    """The answers of both encoders; None if one has no prediction of this name."""
    ours, theirs = answers[pair.encoder], answers[pair.baseline]
    return (ours, theirs) if suffix in theirs.predicted else None


def _parts(ours: Answers, theirs: Answers, suffix: str) -> np.ndarray:
    """Part of each group in the difference in balanced accuracy, the mean of recalls over the tested classes: (G,)."""
    gain = (ours.predicted[suffix] == ours.label).astype(float) - (theirs.predicted[suffix] == ours.label)
    classes, label, of_class = np.unique(ours.label, return_inverse=True, return_counts=True)
    group = np.unique(ours.group, return_inverse=True)[1]
    return np.bincount(group, gain / (of_class[label] * len(classes)))
