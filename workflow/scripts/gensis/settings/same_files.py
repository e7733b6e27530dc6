"""What two splits or data sets read in common: one file has one place, whatever its names."""

import os
from collections.abc import Hashable, Sequence
from itertools import combinations
from pathlib import Path

from gensis.errors import UserError
from gensis.settings.datasets import Dataset, FolderDataset, Hdf5Dataset, TorchvisionDataset
from gensis.settings.sheet import Row


def refuse_one_file_on_two_sides(sheet: Path, rows: Sequence[Row]) -> None:
    """Refuse a sheet whose images could be learnt from and tested on.

    Raises:
        UserError: two lines name one file and lie in two splits, or without splits not in one group, so that folds
            would part them.
    """
    line_of_file: dict[Hashable, Row] = {}
    for row in rows:
        first = line_of_file.setdefault(_file(row.path), row)
        if first is not row and not stay_together(first, row):
            where = f"in the splits '{first.split}' and '{row.split}'" if row.split else "not in one group"
            raise UserError(
                f"sheet {sheet}: '{first.name}' and '{row.name}' are one file, {row.path}, {where}: "
                "keep one of the lines, or the test measures memory"
            )


def stay_together(one: Row, other: Row) -> bool:
    """Whether two lines always lie on one side; in one split nothing tests the other."""
    return one.split == other.split and bool(one.split or (one.group and one.group == other.group))


def refuse_nested_splits(dataset: Dataset) -> None:
    """Refuse splits that hold each other's images.

    Raises:
        UserError: one split's folder lies in another's, or two have one folder, or one group of an HDF5 file.
    """
    if not isinstance(dataset, FolderDataset | Hdf5Dataset):
        return
    for one, other in combinations(dataset.splits, 2):
        if in_common(images_of(dataset, (), one), images_of(dataset, (), other)):
            raise UserError(
                f"splits of {dataset.path}: {one} ({dataset.splits[one]}) and {other} ({dataset.splits[other]}) hold "
                "the same images: give each split its own, or the test measures memory"
            )


def images_of(dataset: Dataset, rows: Sequence[Row], split: str) -> frozenset[Hashable]:
    """What a split reads: its files, folder, or part of a file.

    Args:
        dataset: settings.
        rows: all lines of its sheet, if it has one; a line without a split belongs to train.
        split: ``train`` or ``test``.
    """
    if isinstance(dataset, TorchvisionDataset):
        return frozenset({(dataset.name, split)})
    if isinstance(dataset, FolderDataset):
        return frozenset({Path(os.path.realpath(os.path.join(dataset.path, dataset.splits[split])))})
    if isinstance(dataset, Hdf5Dataset):
        return frozenset({(_file(dataset.path), dataset.splits[split].strip("/"))})
    return frozenset(_file(row.path) for row in rows if (row.split or "train") == split)


def in_common(ones: frozenset[Hashable], others: frozenset[Hashable]) -> bool:
    """Whether two sets, as `images_of` gives them, have images in common; a folder has those of folders in it."""
    folders = [[each for each in images if isinstance(each, Path)] for images in (ones, others)]
    nested = any(a.is_relative_to(b) or b.is_relative_to(a) for a in folders[0] for b in folders[1])
    return nested or not ones.isdisjoint(others)


def _file(path: str) -> Hashable:
    """Device and inode: links are the same file. A file that is still to be made is known by its path."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.abspath(path)
    return found.st_dev, found.st_ino
