"""Embeddings with labels, groups and splits, which only evaluation may use."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gensis.artifacts.tables import table_rows
from gensis.errors import UserError
from gensis.images.embeddings import Embeddings
from gensis.images.rows import ALL, parse_rows
from gensis.settings.tasks import find_task, variant

SPLITS = ("", "train", "test")
Table = Sequence[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The images that have a label, in the order of the embeddings."""

    features: np.ndarray
    """float32 (N, D)."""
    item: np.ndarray
    """int64 (N,): row of each image in the embeddings."""
    labels: np.ndarray
    """int64 (N,): index into `classes`."""
    groups: np.ndarray
    """int64 (N,): images of one patient, case or slide share a number. No group is in both train and test."""
    splits: np.ndarray
    """str (N,): ``train``, ``test`` or empty."""
    unit: np.ndarray
    """int32 (N,): index into `units`."""
    classes: tuple[str, ...]
    """Labels that occur, sorted."""
    units: tuple[str, ...]
    """All units, including units without labelled images."""
    grouped: np.ndarray
    """bool (N,): whether the image has a group in the sheet; otherwise its slide or the image itself is the group."""
    has_test: bool
    """Whether there is a test split, with labels or without."""
    left_out_classes: tuple[str, ...] = ()
    """Classes whose images are left out, since the data set that classifiers are fitted on lacks them."""


def lines_about(task: str, labels: Table, targets: Table = ()) -> Table:
    """The lines of labels.tsv that a task uses, or those of targets.tsv in its place.

    Slide tasks use the labels of whole slides, or those for their target. Image tasks use labels of images, or of whole
    units if there are none.
    """
    if kind := find_task(task).target:
        own = [row for row in targets if (row["kind"], row["target"]) == (kind, variant(task))]
        return [{"unit": row["unit"], "row": "", "label": row["label"], "group": ""} for row in own]
    whole = [row for row in labels if not row["row"]]
    own = [row for row in labels if row["row"]]
    return whole if find_task(task).level == "slide" else own or whole


def read_labels_of(path: Path, images: Container[tuple[str, str]]) -> Table:
    """The lines of labels.tsv about some images, each named by its unit and row, and about whole units.

    Other lines, of which there may be 100 million, are not held in memory. The first of them is kept all the same: it
    says that images have labels of their own, so that those of whole units do not count.
    """
    kept, any_own = [], False
    for line in table_rows(path):
        if not line["row"] or not any_own or (line["unit"], line["row"]) in images:
            kept.append(line)
        any_own = any_own or bool(line["row"])
    return kept


def label_images(embeddings: Embeddings, units: Table, labels: Table, slides_are_units: bool) -> Labelled:
    """Join embeddings with their labels. Images without a label, and images that were not selected, are left out.

    Args:
        embeddings: embeddings of all images in the stores.
        units: rows of units.tsv: unit, images, group and split (both may be empty), and `rows` if some images of the
            unit are not selected.
        labels: rows of labels.tsv: unit, row (position in the unit; empty for the whole unit), label, and group, which
            may be empty.
        slides_are_units: whether units are slides. An image without a group is then grouped by its slide, otherwise it
            is its own group.

    Raises:
        UserError: the arguments do not describe the same images, an image is labelled twice, or an embedding is not
            finite.
    """
    chosen = _chosen(embeddings, units)
    _check_values(embeddings, units)
    first = np.searchsorted(embeddings.unit, np.arange(len(embeddings.units) + 1))
    number = {name: i for i, name in enumerate(embeddings.units)}
    empty = {row["unit"] for row in units} - set(number)
    images = len(embeddings.unit)
    class_numbers, group_numbers = _Numbers(), _Numbers()
    codes = np.full(images, -1)
    # Groups of the sheet have negative numbers, so that they cannot collide with default groups.
    groups = embeddings.unit.astype(np.int64) if slides_are_units else np.arange(images)
    split_of_unit = np.full(len(number), "", dtype="<U5")
    for row in units:
        if row["unit"] in number:
            i = number[row["unit"]]
            split_of_unit[i] = row["split"]
            if row["group"]:
                groups[first[i] : first[i + 1]] = -1 - group_numbers[row["group"]]
    for row in labels:
        if row["label"] and row["unit"] not in empty:
            span = _span(row, number, first)
            if (codes[span] >= 0).any():
                raise UserError(f"labels: {_described(row)} is labelled twice: keep one of the lines")
            codes[span] = class_numbers[row["label"]]
            if row["group"]:
                groups[span] = -1 - group_numbers[row["group"]]
    found = (codes >= 0) & chosen
    grouped = groups < 0
    names, labelled = np.unique(np.array([*class_numbers, ""])[codes[found]], return_inverse=True)
    return Labelled(
        features=embeddings.features[found],
        item=np.flatnonzero(found),
        labels=labelled,
        groups=np.unique(groups[found], return_inverse=True)[1],
        splits=split_of_unit[embeddings.unit[found]],
        unit=embeddings.unit[found],
        classes=tuple(names.tolist()),
        units=embeddings.units,
        grouped=grouped[found],
        has_test=any(row["split"] == "test" for row in units),
    )


def in_order(labelled: Labelled, classes: Sequence[str]) -> Labelled:
    """The same images with their classes in the given order; some of ``classes`` may not occur."""
    position = np.array([classes.index(name) for name in labelled.classes], np.int64)
    return replace(labelled, labels=position[labelled.labels], classes=tuple(classes))


class _Numbers(dict[str, int]):
    """Assigns numbers to names, from 0, in the order of their first use."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]


def _chosen(embeddings: Embeddings, units: Table) -> np.ndarray:
    """Images that units.tsv selects: bool (N,).

    Raises:
        UserError: embeddings and units do not match.
    """
    counts = np.bincount(embeddings.unit, minlength=len(embeddings.units))
    first = dict(zip(embeddings.units, np.cumsum(counts) - counts))
    embedded = dict(zip(embeddings.units, counts.tolist()))
    if len(embedded) < len(embeddings.units):
        name = next(name for name in embeddings.units if embeddings.units.count(name) > 1)
        raise UserError(f"embeddings hold unit '{name}' twice: give each part once")
    listed = {row["unit"]: row for row in units}
    chosen = np.zeros(len(embeddings.unit), bool)
    for name in listed | embedded:
        if name not in listed:
            raise UserError(f"units: '{name}' has embeddings but no line: make the embeddings again")
        found, images, text = embedded.get(name, 0), int(listed[name]["images"]), listed[name].get("rows", ALL)
        rows = parse_rows(text, images)
        needed = images if text == ALL else int(rows.max(initial=-1)) + 1
        if found < needed or (text == ALL and found > needed):
            raise UserError(
                f"embeddings hold {found} images of unit '{name}' but the data set has {needed}: "
                "give all parts, or make the embeddings again"
            )
        if len(rows):
            chosen[first[name] + rows] = True
    return chosen


def _check_values(embeddings: Embeddings, units: Table) -> None:
    finite = np.isfinite(embeddings.features).all(axis=1)
    if not finite.all():
        name = embeddings.units[embeddings.unit[np.argmin(finite)]]
        raise UserError(
            f"embeddings of unit '{name}' are not finite: the encoder diverged: retrain with a lower learning rate"
        )
    for row in units:
        if row["split"] not in SPLITS:
            raise UserError(f"units: split '{row['split']}' of unit '{row['unit']}' must be train or test: correct it")


def _span(row: dict[str, str], number: dict[str, int], first: np.ndarray) -> slice:
    """Rows of the embeddings that a line of labels.tsv labels."""
    if row["unit"] not in number:
        raise UserError(f"labels: the data set has no unit '{row['unit']}': correct or remove the line")
    i = number[row["unit"]]
    start, stop = first[i], first[i + 1]
    if not row["row"]:
        return slice(start, stop)
    if not row["row"].isdecimal() or int(row["row"]) >= stop - start:
        raise UserError(
            f"labels: {_described(row)} does not exist (the unit has {stop - start} images): correct the row"
        )
    return slice(start + int(row["row"]), start + int(row["row"]) + 1)


def _described(row: dict[str, str]) -> str:
    return f"row {row['row']} of unit '{row['unit']}'" if row["row"] else f"unit '{row['unit']}'"
