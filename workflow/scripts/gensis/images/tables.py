"""The tables of a data set: which units there are, how each ended, and the labels."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gensis.artifacts.files import read_json
from gensis.artifacts.tables import write_table
from gensis.errors import UserError
from gensis.images.index import write_index
from gensis.images.sources import open_source
from gensis.images.store import Store
from gensis.settings.datasets import Dataset, NaturalDataset
from gensis.settings.units import Units

log = logging.getLogger(__name__)


def write_train(path: Path, units: Units) -> None:
    """`train.tsv`: the only index that pre-training, diffusion and bank read."""
    outcomes = [read_json(path.parent / f"{unit.name}.json") for unit in units.of_split("train")]
    write_index(path, [(outcome["unit"], outcome["images"], outcome["content"]) for outcome in outcomes])
    if not any(outcome["images"] for outcome in outcomes):
        path.unlink()
        kinds = Counter(outcome["outcome"] for outcome in outcomes)
        raise UserError(
            f"no image in the train split of {path.parent} ({_counts(kinds)}): "
            f"first reason: {outcomes[0]['reason'] or 'none given'}"
        )


def write_units(path: Path, units: Units) -> None:
    """`units.tsv`: all units with group, split, outcome and images. The split is empty where the sheet has none."""
    rows = []
    for unit in units.units:
        outcome = read_json(path.parent / f"{unit.name}.json")
        group = unit.row.group if unit.row else ""
        split = unit.split if units.has_test else ""
        rows.append((unit.name, group, split, outcome["outcome"], outcome["images"]))
    write_table(path, ("unit", "group", "split", "outcome", "images"), rows)


def write_outcomes(path: Path, units: Units, max_failed: float) -> None:
    """`outcomes.tsv`: how each unit ended and why.

    Raises:
        UserError: more than the fraction ``max_failed`` of the units has no images.
    """
    outcomes = [read_json(path.parent / f"{unit.name}.json") for unit in units.units]
    columns = ("unit", "outcome", "images", "failed", "reason")
    write_table(path, columns, [[outcome[column] for column in columns] for outcome in outcomes])
    empty = [outcome for outcome in outcomes if not outcome["images"]]
    log.info("%s", _counts(Counter(outcome["outcome"] for outcome in outcomes)))
    if len(empty) > max_failed * len(outcomes):
        first = empty[0]
        path.rename(path.with_suffix(".failed.tsv"))
        raise UserError(
            f"{len(empty)} of {len(outcomes)} slides of {path.parent} gave no images, more than max_failed_slides "
            f"{max_failed}; the first, {first['unit']}: {first['outcome']}, {first['reason']} "
            f"(all are in {path.with_suffix('.failed.tsv')})"
        )


def write_labels(path: Path, dataset: Dataset, units: Units) -> None:
    """`labels.tsv`: an input of evaluation alone. The row is a number for a single image, empty for a whole unit."""
    rows = natural_labels(path.parent, dataset, units) if isinstance(dataset, NaturalDataset) else slide_labels(units)
    write_table(path, ("unit", "row", "label", "group"), rows)


def slide_labels(units: Units) -> Iterator[tuple[str, str, str, str]]:
    """One line a labelled slide."""
    for unit in units.units:
        if unit.row.label:
            yield unit.name, "", unit.row.label, unit.row.group


def natural_labels(folder: Path, dataset: NaturalDataset, units: Units) -> Iterator[tuple[str, int, str, str]]:
    """One line a labelled image, found by its key, since images that do not decode are not in the store."""
    for split in dict.fromkeys(unit.split for unit in units.units):
        source = open_source(dataset, split, units.rows)
        if source.labels is None:
            continue
        known = dict(zip(source.keys, zip(source.labels, source.groups or [""] * len(source.keys))))
        for unit in units.of_split(split):
            with Store(folder / f"{unit.name}.h5") as store:
                keys = store.column("key")
            for row, (label, group) in enumerate(known[key] for key in keys):
                if label:
                    yield unit.name, row, label, group


def _counts(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
