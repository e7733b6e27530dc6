"""Slides as bags of embeddings."""

from dataclasses import dataclass

import numpy as np

from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled


@dataclass(frozen=True)
class Slides:
    """Labelled slides that have images. Labels, groups and splits as in `Labelled`, one a slide."""

    features: np.ndarray
    """float32 (N, D): embeddings of all slides' images, slide by slide."""
    item: np.ndarray
    """int64 (S,): number of each slide among the units of the embeddings."""
    first: np.ndarray
    """int64 (S + 1,): where each slide begins, and last N."""
    labels: np.ndarray
    groups: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]
    names: tuple[str, ...]

    def bag(self, slide: int) -> np.ndarray:
        """float32 (n, D): embeddings of one slide."""
        return self.features[self.first[slide] : self.first[slide + 1]]

    def means(self) -> np.ndarray:
        """float32 (S, D): mean embedding of each slide, summed in float64."""
        sums = np.add.reduceat(self.features, self.first[:-1], axis=0, dtype=np.float64)
        return (sums / np.diff(self.first)[:, None]).astype(np.float32)


def slides_of(labelled: Labelled) -> Slides:
    """Gather labelled images into slides.

    Raises:
        Unmeasurable: there are none, or the images of a slide differ in their label.
    """
    units, first = np.unique(labelled.unit, return_index=True)
    if not len(units):
        raise Unmeasurable("no labelled slide has images")
    slide = np.searchsorted(units, labelled.unit)
    if (labelled.labels != labelled.labels[first][slide]).any():
        raise Unmeasurable("images of one slide have different labels")
    return Slides(
        labelled.features,
        units,
        np.append(first, len(labelled.unit)),
        labelled.labels[first],
        labelled.groups[first],
        labelled.splits[first],
        labelled.classes,
        tuple(labelled.units[unit] for unit in units),
    )
