"""The units of a data set: its slides, or the shards of its natural images. They are known before images are read."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gensis.errors import UserError
from gensis.settings.datasets import Dataset, FilesDataset, PCamDataset, SlidesDataset, TorchvisionDataset
from gensis.settings.same_files import Part, images_of, in_common, refuse_nested_splits, refuse_one_file_on_two_sides
from gensis.settings.sheet import Row, read_sheet
from gensis.settings.study import Study


@dataclass(frozen=True)
class Unit:
    """One image store of a data set."""

    name: str
    split: str
    """``train`` or ``test``; always ``train`` if the sheet has no splits."""
    row: Row | None = None
    """The slide's line of the sheet; None for a shard."""


@dataclass(frozen=True)
class Units:
    """All units of a data set, in the sheet's order."""

    units: tuple[Unit, ...]
    has_test: bool
    """Whether there is a test split; if not, evaluation uses cross-validation."""
    rows: tuple[Row, ...] = ()
    """All lines of the sheet, for data sets of slides and files."""

    def of_split(self, split: str) -> tuple[Unit, ...]:
        """Units of one split."""
        return tuple(unit for unit in self.units if unit.split == split)


def list_units(dataset: Dataset, sheet: Path | None, will_exist: Callable[[str], bool] = lambda path: False) -> Units:
    """List a data set's units.

    Args:
        dataset: its settings.
        sheet: its sheet, if it has one.
        will_exist: whether a rule makes a path that does not exist.

    Raises:
        UserError: a mistake in the sheet, a missing source, or images in both train and test.
    """
    if isinstance(dataset, SlidesDataset):
        rows = read_sheet(sheet, "slides", dataset.columns, will_exist, targets=dataset.targets)
        refuse_one_file_on_two_sides(sheet, rows)
        units = tuple(Unit(row.name, row.split or "train", row) for row in rows)
        return Units(units, any(row.split for row in rows), tuple(rows))
    if isinstance(dataset, FilesDataset):
        rows = read_sheet(sheet, "files", dataset.columns, will_exist, folder=dataset.folder)
        refuse_one_file_on_two_sides(sheet, rows)
        splits = sorted({row.split or "train" for row in rows}, reverse=True)
        return Units(_shards(splits, dataset.shards), any(row.split for row in rows), tuple(rows))
    if isinstance(dataset, TorchvisionDataset):
        return Units(_shards(["train", "test"], dataset.shards), True)
    if not os.path.exists(dataset.path):
        raise UserError(f"{dataset.path} does not exist: correct the data set's `path`")
    for split in dataset.splits:
        if split not in ("train", "test"):
            raise UserError(f"split '{split}' of {dataset.path} is not 'train' or 'test': correct `splits`")
    if isinstance(dataset, PCamDataset):
        for path in dataset.needed:
            if not os.path.exists(path):
                raise UserError(f"{path} does not exist: download PatchCamelyon and unpack its files with gunzip")
    refuse_nested_splits(dataset)
    return Units(_shards(list(dataset.splits), dataset.shards), "test" in dataset.splits)


def refuse_transfer_of_the_same_images(study: Study, units: Mapping[str, Units]) -> None:
    """Refuse a transfer whose classifiers would be tested on images, or slides, that they learnt from.

    Args:
        study: the study.
        units: the units of each data set that it uses.

    Raises:
        UserError: the images that one data set gives to learn from are also those that another gives to test.
    """

    @cache
    def images(name: str, split: str) -> frozenset[Part]:
        used = split if units[name].has_test else "train"  # all images, without a test split
        labelled = [row for row in units[name].rows if row.is_labelled or row.annotations]
        return images_of(study.datasets[name], labelled, used)

    for transfer in study.evaluation.transfer:
        for tested in transfer.test:
            if in_common(images(transfer.fit, "train"), images(tested, "test")):
                raise UserError(
                    f"evaluation.transfer: classifiers would be tested on images of {tested} that they learnt from in "
                    f"{transfer.fit}, the same files: give both the same split into train and test, or leave them out"
                )


def _shards(splits: Sequence[str], shards: int) -> tuple[Unit, ...]:
    return tuple(Unit(f"{split}-{number:04d}", split) for split in splits for number in range(shards))


def refuse_no_train(study: Study, units: Mapping[str, Units], labelled: Collection[str]) -> None:
    """Refuse data sets without a train split where something is fitted. They may be embedded, and tested by a transfer.

    Args:
        study: the study.
        units: the units of each data set that it uses.
        labelled: those of them that have labels.

    Raises:
        UserError: one of them has an empty train split.
    """
    transfers = study.evaluation.transfer
    tested = {name for transfer in transfers for name in transfer.test}
    by_themselves = [name for name in study.evaluation.datasets if name in labelled and name not in tested]
    for name in [study.pretraining.dataset] if study.pretraining else []:
        if not units[name].of_split("train"):
            raise UserError(f"datasets.{name} has an empty train split: put images to train on into it")
    for name in [*(transfer.fit for transfer in transfers), *by_themselves]:
        if not units[name].of_split("train"):
            raise UserError(
                f"datasets.{name} has an empty train split, so no classifier can be fitted on it: put images into it, "
                "test it with `evaluation.transfer`, or remove it from evaluation.datasets"
            )
