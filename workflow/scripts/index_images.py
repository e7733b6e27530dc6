"""Write one of a data set's tables: train.tsv, units.tsv, outcomes.tsv, labels.tsv or targets.tsv."""

import argparse
from pathlib import Path

from pydantic import TypeAdapter

from gensis import command
from gensis.images import dataset_tables
from gensis.images.copies import refuse_copied_files
from gensis.settings.datasets import Dataset, FilesDataset, NaturalDataset, Quality
from gensis.settings.units import list_units


def main(arguments: argparse.Namespace) -> None:
    """Write the table."""
    dataset = TypeAdapter(Dataset).validate_python(arguments.config)
    # The slides existed when they were tiled; they may have been archived since.
    units = list_units(dataset, arguments.sheet, will_exist=lambda path: True)
    path = arguments.output
    quality, max_failed = getattr(dataset, "quality", Quality()), getattr(dataset, "max_failed_slides", 1.0)
    if path.stem == "labels":
        dataset_tables.write_labels(path, dataset, units)
        return
    if path.stem == "targets":
        dataset_tables.write_targets(path, dataset, units)
        return
    if isinstance(dataset, NaturalDataset):
        listed = units.of_split("train") if path.stem == "train" else units.units
        dataset_tables.refuse_undecoded(path.parent, listed, dataset.max_failed_fraction)
    if path.stem == "train":
        dataset_tables.write_train(
            path, units, quality=quality, max_failed=max_failed, max_failed_fraction=dataset.max_failed_fraction
        )
    elif path.stem == "units":
        if isinstance(dataset, FilesDataset):
            refuse_copied_files(arguments.sheet, units.rows)
        dataset_tables.write_units(path, units, quality=quality, max_failed_fraction=dataset.max_failed_fraction)
    else:
        dataset_tables.write_outcomes(
            path, units, max_failed=max_failed, quality=quality, max_failed_fraction=dataset.max_failed_fraction
        )


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--sheet", type=Path, help="the data set's sheet, if it has one")
    parser.add_argument("--output", type=Path, required=True, help="FOLDER/{train,units,outcomes,labels,targets}.tsv")
    command.run(main, parser.parse_args())
