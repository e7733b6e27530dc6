"""Whether painted images keep the class of their source. Labels come in here alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.knn import knn_probabilities

NEIGHBOURS, TEMPERATURE = 20, 0.07


@dataclass(frozen=True)
class RealImages:
    """The train split, all that can vote."""

    features: np.ndarray
    """float32 (N, D)."""
    labels: np.ndarray
    """int64 (N,); -1 where there is none."""
    groups: np.ndarray
    """int64 (N,)."""


def class_kept(
    real: RealImages, sources: np.ndarray, own: np.ndarray, painted: np.ndarray, resamples: int, device: torch.device
) -> dict[str, Any]:
    """Share of images that their neighbours among real ones tell right, for painted images beside their sources.

    Both are voted on by the 20 nearest of other groups, so that neither a source nor its slide recognises itself.

    Args:
        real: the train split.
        sources: int64 (n,): rows of the train split.
        own: float32 (n, D): embeddings of these images.
        painted: float32 (n, D): embeddings of what was painted from them.
        resamples: of the groups, for the intervals; 0 for none.
        device: where the similarities are computed.

    Returns:
        `painted`, `real` and their `ratio`, each with `value`, `low` and `high`; `chance`: the commonest class's share;
        `n`.

    Raises:
        Unmeasurable: no labels, one class, or too few images of other groups.
    """
    known = real.labels >= 0
    if len(np.unique(real.labels[known])) < 2:
        raise Unmeasurable("fewer than two classes are labelled")
    chosen = known[sources]
    others = known.sum() - np.bincount(real.groups[known]).max()
    if others < NEIGHBOURS or not chosen.any():
        raise Unmeasurable(f"fewer than {NEIGHBOURS} labelled images in other groups")
    labels, groups = real.labels[sources[chosen]], real.groups[sources[chosen]]

    def hits(queries: np.ndarray) -> np.ndarray:
        votes = knn_probabilities(
            real.features[known],
            real.labels[known],
            queries[chosen],
            (NEIGHBOURS,),
            int(real.labels.max()) + 1,
            TEMPERATURE,
            device,
            groups=(real.groups[known], groups),
        )
        return votes[NEIGHBOURS].argmax(1) == labels

    right = {"painted": hits(painted), "real": hits(own)}
    if not right["real"].any():
        raise Unmeasurable("their neighbours tell the class of no real image")

    def shares(weights: np.ndarray) -> dict[str, np.ndarray]:
        found = {name: weights[hit].sum(0) / weights.sum(0) for name, hit in right.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            return found | {"ratio": found["painted"] / found["real"]}

    bounds = intervals(shares, groups, resamples)
    values = {name: float(value[0]) for name, value in shares(np.ones((len(labels), 1))).items()}
    measured = {
        name: dict(zip(("value", "low", "high"), (value, *bounds.get(name, (None, None)))))
        for name, value in values.items()
    }
    return measured | {"chance": float(np.bincount(labels).max() / len(labels)), "n": len(labels)}
