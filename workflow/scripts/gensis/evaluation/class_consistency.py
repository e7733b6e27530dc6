"""Whether generated images keep the class of their source. Labels come in here alone."""

from collections.abc import Mapping
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


def class_consistency(
    known: RealImages, sources: np.ndarray, images: Mapping[str, np.ndarray], resamples: int, device: torch.device
) -> dict[str, Any]:
    """Share of images that their neighbours among real ones tell right, for generated images beside their sources.

    All are voted on by the 20 nearest of other groups, so that neither a source nor its slide recognises itself.

    Args:
        known: the train split.
        sources: int64 (n,): rows of the train split.
        images: kind -> float32 (n, D), embeddings of such images of these sources: `real`, the sources themselves;
            `generated`, what was generated from them; any others (ordinary views).
        resamples: of the groups, for the intervals; 0 for none.
        device: where the similarities are computed.

    Returns:
        Each kind, and the `ratio` of `generated` to `real`, with `value`, `low` and `high`; `chance`: the commonest
        class's share; `n`.

    Raises:
        Unmeasurable: no labels, one class, or too few images of other groups.
    """
    labelled = known.labels >= 0
    if len(np.unique(known.labels[labelled])) < 2:
        raise Unmeasurable("fewer than two classes are labelled")
    chosen = labelled[sources]
    others = labelled.sum() - np.bincount(known.groups[labelled]).max()
    if others < NEIGHBOURS or not chosen.any():
        raise Unmeasurable(f"fewer than {NEIGHBOURS} labelled images in other groups")
    labels, groups = known.labels[sources[chosen]], known.groups[sources[chosen]]

    def hits(queries: np.ndarray) -> np.ndarray:
        votes = knn_probabilities(
            known.features[labelled],
            known.labels[labelled],
            queries[chosen],
            (NEIGHBOURS,),
            int(known.labels.max()) + 1,
            TEMPERATURE,
            device,
            groups=(known.groups[labelled], groups),
        )
        return votes[NEIGHBOURS].argmax(1) == labels

    right = {kind: hits(embeddings) for kind, embeddings in images.items()}
    if not right["real"].any():
        raise Unmeasurable("their neighbours tell the class of no real image")

    def shares(weights: np.ndarray) -> dict[str, np.ndarray]:
        found = {kind: weights[hit].sum(0) / weights.sum(0) for kind, hit in right.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            return found | {"ratio": found["generated"] / found["real"]}

    bounds = intervals(shares, groups, resamples)
    values = {name: float(value[0]) for name, value in shares(np.ones((len(labels), 1))).items()}
    measured = {
        name: dict(zip(("value", "low", "high"), (value, *bounds.get(name, (None, None)))))
        for name, value in values.items()
    }
    return measured | {"chance": float(np.bincount(labels).max() / len(labels)), "n": len(labels)}
