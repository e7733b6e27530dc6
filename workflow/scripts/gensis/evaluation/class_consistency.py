"""Class consistency: whether generated images have the class of their source. The only bank metric that uses labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.knn_history import labels_and_groups
from gensis.evaluation.labelled import Table, read_labels_of
from gensis.images.index import Index

NEIGHBOURS, TEMPERATURE = 20, 0.07


@dataclass(frozen=True)
class RealImages:
    """Real images of the train split, the reference set of k-NN."""

    features: np.ndarray
    """float32 (N, D)."""
    labels: np.ndarray
    """int64 (N,); -1 for images without a label."""
    groups: np.ndarray
    """int64 (N,)."""


def classes_of(
    index: Index, rows: np.ndarray, *, units: Table, labels: Path | None, slides_are_units: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of images at int64 (n,) rows of the train split; see `labels_and_groups`.

    Args:
        index: of the train split.
        rows: int64 (n,).
        units: rows of units.tsv.
        labels: path of labels.tsv, if there is one.
        slides_are_units: whether units are slides.
    """
    images = [(index.units[unit], str(position)) for unit, position in zip(*index.locate(rows))]
    lines = read_labels_of(labels, frozenset(images)) if labels else []
    return labels_and_groups(images, units, lines, slides_are_units)


def class_consistency(
    known: RealImages,
    sources: np.ndarray,
    images: Mapping[str, np.ndarray],
    *,
    resamples: int,
    device: torch.device,
    copies: np.ndarray | None = None,
) -> dict[str, Any]:
    """k-NN accuracy of generated images, with the class of their source as label, compared with that of the sources.

    The 20 nearest real images of other groups vote, so that neither a source nor its slide votes for itself, nor a real
    image in place of a generated one.

    Args:
        known: images of the train split.
        sources: int64 (n,): rows of the sources in the train split.
        images: kind -> float32 (n, D), embeddings of images of these sources. Kinds are `real` (the sources
            themselves), `generated` (images generated from them) and any others, such as ordinary views.
        resamples: bootstrap resamples of the groups; 0 for no intervals.
        device: device that the similarities are computed on.
        copies: int64 (n,): rows of the real images that `generated` are, if they are copies.

    Returns:
        `value`, `low` and `high` of the accuracy of each kind, and of the `ratio` of `generated` to `real`; `chance`,
        the share of the most common class; and `n`.

    Raises:
        Unmeasurable: there are no labels, one class, or too few images of other groups.
    """
    chosen = _measurable(known, sources, excluded=1 if copies is None else 2)
    labels, groups = known.labels[sources[chosen]], known.groups[sources[chosen]]
    own = {kind: [groups] for kind in images}
    if copies is not None:
        own["generated"] = [groups, known.groups[copies[chosen]]]
    correct = {
        kind: _voted(known, embeddings[chosen], np.stack(own[kind], axis=1), device) == labels
        for kind, embeddings in images.items()
    }
    if not correct["real"].any():
        raise Unmeasurable("k-NN classifies no real image correctly")

    def accuracies(weights: np.ndarray) -> dict[str, np.ndarray]:
        of_kinds = {kind: weights[hit].sum(0) / weights.sum(0) for kind, hit in correct.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            return of_kinds | {"ratio": of_kinds["generated"] / of_kinds["real"]}

    bounds = intervals(accuracies, groups, resamples)
    values = {name: float(value[0]) for name, value in accuracies(np.ones((len(labels), 1))).items()}
    measured = {
        name: dict(zip(("value", "low", "high"), (value, *bounds.get(name, (None, None)))))
        for name, value in values.items()
    }
    return measured | {"chance": float(np.bincount(labels).max() / len(labels)), "n": len(labels)}


def _measurable(known: RealImages, sources: np.ndarray, *, excluded: int) -> np.ndarray:
    """Which sources have a label: bool (n,); ``excluded`` is the number of groups that do not vote.

    Raises:
        Unmeasurable: see `class_consistency`.
    """
    labelled = known.labels >= 0
    if not labelled.any():
        raise Unmeasurable("the data set has no labels")
    if len(np.unique(known.labels[labelled])) < 2:
        raise Unmeasurable("fewer than two classes are labelled")
    others = labelled.sum() - excluded * np.bincount(known.groups[labelled]).max()
    if others < NEIGHBOURS or not labelled[sources].any():
        raise Unmeasurable(f"fewer than {NEIGHBOURS} labelled images in other groups")
    return labelled[sources]


def _voted(known: RealImages, queries: np.ndarray, own: np.ndarray, device: torch.device) -> np.ndarray:
    """The class that labelled images vote for, int64 (n,), of float32 (n, D) embeddings with int64 (n, k) groups that
    do not vote."""
    labelled = known.labels >= 0
    votes = knn_probabilities(
        known.features[labelled],
        known.labels[labelled],
        queries,
        ks=(NEIGHBOURS,),
        classes=int(known.labels.max()) + 1,
        temperature=TEMPERATURE,
        device=device,
        groups=(known.groups[labelled], own),
    )
    return votes[NEIGHBOURS].argmax(1)
