"""k-NN accuracy during the training of an encoder, measured among some of its training images."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.labelled import Table, lines_about


def labels_and_groups(
    images: Sequence[tuple[str, str]], units: Table, labels: Table, slides_are_units: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of some images.

    Args:
        images: unit and row of each image.
        units: rows of units.tsv.
        labels: rows of labels.tsv.
        slides_are_units: whether units are slides. An image without a group is then grouped by its slide, otherwise it
            is its own group.

    Returns:
        int64 (n,) labels, -1 for images without one, and int64 (n,) groups.
    """
    lines = {(line["unit"], line["row"]): line for line in lines_about("knn", labels)}
    group_of_unit = {unit["unit"]: unit["group"] for unit in units}
    found = [lines.get((unit, row)) or lines.get((unit, "")) or {"label": "", "group": ""} for unit, row in images]
    names = sorted({line["label"] for line in found} - {""})
    groups = [
        line["group"] or group_of_unit[unit] or (unit if slides_are_units else f"{unit} {row}")
        for (unit, row), line in zip(images, found)
    ]
    codes = [names.index(line["label"]) if line["label"] else -1 for line in found]
    return np.array(codes, np.int64), np.unique(groups, return_inverse=True)[1]


def usable(ks: Sequence[int], labels: np.ndarray, groups: np.ndarray) -> list[int]:
    """Those of ``ks`` for which every image has enough neighbours in other groups; none with fewer than two classes."""
    others = len(labels) - np.bincount(groups).max() if len(labels) else 0
    return [k for k in ks if k <= others] if len(np.unique(labels)) > 1 else []


def knn_history(
    snapshots: np.ndarray, labels: np.ndarray, *, groups: np.ndarray, ks: Sequence[int], temperature: float
) -> Iterator[dict[int, float]]:
    """Accuracy of weighted k-NN at each snapshot. Only images of other groups vote on an image.

    Args:
        snapshots: float (L, n, D): L2-normalised embeddings of n images at L snapshots.
        labels: int (n,).
        groups: int (n,).
        ks: numbers of neighbours, as returned by `usable`.
        temperature: divides the cosine similarity.

    Yields:
        k -> accuracy, for each snapshot.
    """
    classes = int(labels.max(initial=0)) + 1
    for features in snapshots.astype(np.float32) if ks else ():
        votes = knn_probabilities(
            features,
            labels,
            features,
            ks=ks,
            classes=classes,
            temperature=temperature,
            device=torch.device("cpu"),
            groups=(groups, groups),
        )
        yield {k: float((votes[k].argmax(1) == labels).mean()) for k in ks}
