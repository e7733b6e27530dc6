"""Bags of embeddings: the images of a slide, or of all slides of a patient."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled

_OF_IMAGES = ("features", "item", "labels", "groups", "splits", "unit", "grouped")


@dataclass(frozen=True, kw_only=True)
class Slides:
    """Bags of labelled slides that have images. Labels, groups, splits and `grouped` as in `Labelled`, one per bag."""

    features: np.ndarray
    """float32 (N, D): embeddings of all images, bag by bag."""
    rows: np.ndarray
    """int64 (N,): row of each image in the embeddings."""
    unit: np.ndarray
    """int32 (N,): slide of each image, an index into `units`."""
    first: np.ndarray
    """int64 (S + 1,): first image of each bag, followed by N."""
    labels: np.ndarray
    groups: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]
    units: tuple[str, ...]
    """Names of all slides."""
    grouped: np.ndarray
    has_test: bool

    @property
    def item(self) -> np.ndarray:
        """int32 (S,): number of each bag's first slide among the units."""
        return self.unit[self.first[:-1]]

    def name(self, bag: int) -> str:
        """Name of a bag: its slide, or its slides joined by `+`."""
        slides = np.unique(self.unit[self.first[bag] : self.first[bag + 1]])
        return "+".join(self.units[slide] for slide in slides)

    def bag(self, number: int) -> np.ndarray:
        """float32 (n, D): embeddings of one bag."""
        return self.features[self.first[number] : self.first[number + 1]]

    def means(self) -> np.ndarray:
        """float32 (S, D): mean embedding of each bag, summed in float64."""
        sums = np.add.reduceat(self.features, self.first[:-1], axis=0, dtype=np.float64)
        return (sums / np.diff(self.first)[:, None]).astype(np.float32)

    def by_slide(self, bag: int, values: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
        """Split the values (n,) of a bag's images: slide -> rows of its images in the embeddings, their values, n."""
        span = slice(self.first[bag], self.first[bag + 1])
        rows, unit = self.rows[span], self.unit[span]
        return {
            self.units[slide]: (rows[unit == slide], values[unit == slide], len(values)) for slide in np.unique(unit)
        }


def slides_of(labelled: Labelled, bags: Literal["slide", "group"] = "slide") -> Slides:
    """Gather labelled images into bags, one per slide or one per group.

    Raises:
        Unmeasurable: no labelled slide has images, or the images of a bag differ in their label or split.
    """
    if not len(labelled.unit):
        raise Unmeasurable("no labelled slide has images")
    if bags == "group":
        order = np.argsort(labelled.groups, kind="stable")
        labelled = replace(labelled, **{name: getattr(labelled, name)[order] for name in _OF_IMAGES})
    first = np.unique(labelled.unit if bags == "slide" else labelled.groups, return_index=True)[1]
    sizes = np.diff(first, append=len(labelled.unit))
    for name, of_images in {"labels": labelled.labels, "splits": labelled.splits}.items():
        if (of_images != np.repeat(of_images[first], sizes)).any():
            raise Unmeasurable(f"images of one {bags} have different {name}")
    return Slides(
        features=labelled.features,
        rows=labelled.item,
        unit=labelled.unit,
        first=np.append(first, len(labelled.unit)),
        labels=labelled.labels[first],
        groups=labelled.groups[first],
        splits=labelled.splits[first],
        classes=labelled.classes,
        units=labelled.units,
        grouped=labelled.grouped[first],
        has_test=labelled.has_test,
    )
