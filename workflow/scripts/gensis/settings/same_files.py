"""Detects image files that two splits or data sets share, even under different names."""

import math
import os
from collections.abc import Hashable, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

from gensis.errors import UserError
from gensis.settings.datasets import Dataset, FolderDataset, Hdf5Dataset, PCamDataset, TorchvisionDataset
from gensis.settings.sheet import Row


def refuse_one_file_on_two_sides(sheet: Path, rows: Sequence[Row]) -> None:
    """Refuse a sheet that could put one image into both training and test data.

    Raises:
        UserError: two lines name the same file but are in different splits or, without splits, not in the same group:
            cross-validation could separate them.
    """
    line_of_file: dict[Hashable, Row] = {}
    for row in rows:
        first = line_of_file.setdefault(_file(row.path), row)
        if first is not row and not stay_together(first, row):
            where = f"in the splits '{first.split}' and '{row.split}'" if row.split else "not in one group"
            raise UserError(
                f"sheet {sheet}: '{first.name}' and '{row.name}' are the same file, {row.path}, {where}: "
                "remove one of the lines, or test images leak into training"
            )


def stay_together(one: Row, other: Row) -> bool:
    """Whether two lines are always both training data or both test data."""
    return one.split == other.split and bool(one.split or (one.group and one.group == other.group))


def refuse_nested_splits(dataset: Dataset) -> None:
    """Refuse splits that share images.

    Raises:
        UserError: one split's folder is inside another's, or two splits have the same folder or HDF5 group.
    """
    if not isinstance(dataset, FolderDataset | Hdf5Dataset | PCamDataset):
        return
    for one, other in combinations(dataset.splits, 2):
        if in_common(images_of(dataset, (), one), images_of(dataset, (), other)):
            raise UserError(
                f"splits of {dataset.path}: {one} ({dataset.splits[one]}) and {other} ({dataset.splits[other]}) "
                "share images: give each split its own, or test images leak into training"
            )


class Part(NamedTuple):
    """Images of a source from a first to before a last, in the order of `image_range`."""

    source: Hashable
    """A file, a folder (`Path`), a group of a file, or a split of a data set of torchvision."""
    first: int = 0
    last: float = math.inf


def images_of(dataset: Dataset, rows: Sequence[Row], split: str) -> frozenset[Part]:
    """What a split reads: its files, or its part of a folder, of a group of a file or of a data set of torchvision.

    Args:
        dataset: settings.
        rows: all lines of its sheet, if it has one; a line without a split belongs to train.
        split: ``train`` or ``test``.
    """
    if isinstance(dataset, TorchvisionDataset):
        source: Hashable = dataset.name, split
    elif isinstance(dataset, FolderDataset):
        source = Path(os.path.realpath(os.path.join(dataset.path, dataset.splits[split])))
    elif isinstance(dataset, Hdf5Dataset):
        source = _file(dataset.path), dataset.splits[split].strip("/")
    elif isinstance(dataset, PCamDataset):
        source = _file(dataset.file(split, "x.h5"))
    else:
        return frozenset(Part(_file(row.path)) for row in rows if (row.split or "train") == split)
    return frozenset({Part(source, *dataset.image_range.get(split, ()))})


def in_common(ones: frozenset[Part], others: frozenset[Part]) -> bool:
    """Whether two results of `images_of` share images. A folder contains the images of its subfolders."""
    if len(ones) > 1 or len(others) > 1:  # files, which can be many
        return not ones.isdisjoint(others)
    return any(_overlap(*pair) for pair in product(ones, others))


def _overlap(one: Part, other: Part) -> bool:
    if one.source == other.source:
        return one.first < other.last and other.first < one.last
    if not (isinstance(one.source, Path) and isinstance(other.source, Path)):
        return False
    return one.source.is_relative_to(other.source) or other.source.is_relative_to(one.source)


def _file(path: str) -> Hashable:
    """Device and inode, so that links count as the same file; the path if the file does not exist yet."""
    try:
        status = os.stat(path)
    except OSError:
        return os.path.abspath(path)
    return status.st_dev, status.st_ino
