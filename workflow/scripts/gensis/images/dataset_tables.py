"""The tables of a data set: its units, their outcomes, and the labels."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gensis.artifacts.files import read_json
from gensis.artifacts.tables import write_table
from gensis.errors import UserError
from gensis.images.copies import refuse_copied_units
from gensis.images.index import write_index
from gensis.images.rows import ALL, NONE, format_rows
from gensis.images.sources import open_source
from gensis.images.store import Store
from gensis.images.thresholds import chosen_rows, describe
from gensis.settings.datasets import Dataset, NaturalDataset, Quality, SlidesDataset
from gensis.settings.targets import kind_of
from gensis.settings.units import Unit, Units
from gensis.slides.geojson import read_polygons
from gensis.slides.tile_labels import tile_labels
from gensis.slides.units import Level0Px

FAILED = "outcomes.failed.tsv"

log = logging.getLogger(__name__)


def write_train(
    path: Path,
    units: Units,
    *,
    quality: Quality = Quality(),
    max_failed: float = 1.0,
    max_failed_fraction: float = 1.0,
) -> None:
    """Write `train.tsv`, the index of images that pre-training, diffusion and bank read.

    Raises:
        UserError: there is no image, or more than the fraction ``max_failed`` of the training units has no images.
    """
    outcomes = _outcomes(path.parent, units.of_split("train"), quality, max_failed_fraction)
    _refuse_failures(path.parent, outcomes, max_failed, "training slides")
    listed = [(outcome["unit"], outcome["images"], outcome["content"]) for outcome in outcomes]
    if not any(outcome["images"] for outcome in outcomes):
        kinds = Counter(outcome["outcome"] for outcome in outcomes)
        raise UserError(
            f"the train split of {path.parent} has no images ({_counts(kinds)}); "
            f"first reason: {outcomes[0]['reason'] or 'none given'}"
        )
    write_index(path, listed, {outcome["unit"]: outcome["rows"] for outcome in outcomes})


def write_units(path: Path, units: Units, *, quality: Quality = Quality(), max_failed_fraction: float = 1.0) -> None:
    """Write `units.tsv`: all units with group, split, outcome, images and content id.

    The split is empty if the sheet has none. The content id makes later stages run again after a slide was tiled again
    into the same number of tiles.

    Raises:
        UserError: units of train and test, or of two groups if there are no splits, contain the same images.
    """
    lines = []
    outcomes = _outcomes(path.parent, units.units, quality, max_failed_fraction)
    refuse_copied_units(path.parent, units.units, {o["unit"]: o["content"] for o in outcomes if o["images"]})
    for unit, outcome in zip(units.units, outcomes):
        group = unit.row.group if unit.row else ""
        split = unit.split if units.has_test else ""
        known = (outcome[name] for name in ("outcome", "images", "content", "rows"))
        lines.append((unit.name, group, split, *known))
    columns = (
        "unit",
        "group",
        "split",
        "outcome",
        "images",
        "content",
        *(["rows"] if any(line[-1] for line in lines) else []),
    )
    write_table(path, columns, [line[: len(columns)] for line in lines])


def write_outcomes(
    path: Path, units: Units, *, max_failed: float, quality: Quality = Quality(), max_failed_fraction: float = 1.0
) -> None:
    """Write `outcomes.tsv`: outcome and reason of each unit.

    Raises:
        UserError: more than the fraction ``max_failed`` of all units, or of the training units, has no images.
    """
    outcomes = _outcomes(path.parent, units.units, quality, max_failed_fraction)
    columns = ("unit", "outcome", "images", "failed", "reason")
    write_table(path, columns, [[outcome[column] for column in columns] for outcome in outcomes])
    log.info("%s", _counts(Counter(outcome["outcome"] for outcome in outcomes)))
    of_train = {unit.name for unit in units.of_split("train")}
    training_outcomes = [outcome for outcome in outcomes if outcome["unit"] in of_train]
    _refuse_failures(path.parent, outcomes, max_failed, "slides")
    _refuse_failures(path.parent, training_outcomes, max_failed, "training slides")
    (path.parent / FAILED).unlink(missing_ok=True)  # of an earlier check, of slides that are repaired now


def _refuse_failures(folder: Path, outcomes: list[dict[str, Any]], max_failed: float, what: str) -> None:
    """Stop, and list the units without images, if they are more than the fraction ``max_failed``."""
    empty = [outcome for outcome in outcomes if not outcome["images"]]
    if len(empty) <= max_failed * len(outcomes):
        return
    first, listed = empty[0], folder / FAILED
    columns = ("unit", "outcome", "reason")
    write_table(listed, columns, [[outcome[column] for column in columns] for outcome in empty])
    raise UserError(
        f"{len(empty)} of {len(outcomes)} {what} of {folder} gave no images, more than max_failed_slides {max_failed}; "
        f"the first, {first['unit']}: {first['outcome']}, {first['reason']} (all are listed in {listed})"
    )


def refuse_undecoded(folder: Path, units: Sequence[Unit], max_failed_fraction: float) -> None:
    """Stop if more than the fraction ``max_failed_fraction`` of a shard's images cannot be decoded."""
    for outcome in _read_outcomes(folder, units):
        total = outcome["images"] + outcome["failed"]
        if outcome["failed"] > max_failed_fraction * total:
            raise UserError(
                f"{outcome['failed']} of {total} images of {folder}/{outcome['unit']} {outcome['reason']}: repair "
                "them and import again (--forcerun import_images), or raise the data set's max_failed_fraction"
            )


def _outcomes(
    folder: Path, units: Sequence[Unit], quality: Quality, max_failed_fraction: float
) -> list[dict[str, Any]]:
    """Outcome of each unit, from its JSON file and the thresholds; `rows` lists the images that are used."""
    return [_after(quality, max_failed_fraction, folder, outcome) for outcome in _read_outcomes(folder, units)]


def _read_outcomes(folder: Path, units: Sequence[Unit]) -> Iterator[dict[str, Any]]:
    return (read_json(folder / f"{unit.name}.json") | {"rows": ALL} for unit in units)


def _after(quality: Quality, max_failed_fraction: float, folder: Path, outcome: dict[str, Any]) -> dict[str, Any]:
    if not outcome["images"]:
        return outcome
    if outcome["failed"] > max_failed_fraction * (outcome["images"] + outcome["failed"]):
        reason = f"{outcome['reason']} (more than max_failed_fraction {max_failed_fraction:g})"
        return outcome | {"images": 0, "rows": NONE, "outcome": "unreadable", "reason": reason}
    if not quality:
        return outcome
    with Store(folder / f"{outcome['unit']}.h5") as store:
        chosen = chosen_rows(store, quality)
        used = {"images": int(chosen.sum()), "rows": format_rows(chosen)}
        if chosen.any():
            return outcome | used
        reason = f"no tile passes all thresholds of `quality` ({describe(store, quality)}): relax them"
        return outcome | used | {"outcome": "low_quality", "reason": reason}


def write_labels(path: Path, dataset: Dataset, units: Units) -> None:
    """Write `labels.tsv`, an input of evaluation only. The row is the number of an image, or empty for a whole unit."""
    natural = isinstance(dataset, NaturalDataset)
    lines = natural_labels(path.parent, dataset, units) if natural else slide_labels(path.parent, dataset, units)
    write_table(path, ("unit", "row", "label", "group"), lines)


def write_targets(path: Path, dataset: SlidesDataset, units: Units) -> None:
    """Write `targets.tsv`, an input of evaluation only: the labels of slides for each target of the sheet."""
    lines = [
        (unit.name, name, kind_of(target), unit.row.targets[name])
        for name, target in dataset.targets.items()
        for unit in units.units
        if unit.row.targets[name]
    ]
    write_table(path, ("unit", "target", "kind", "label"), lines)


def slide_labels(folder: Path, dataset: SlidesDataset, units: Units) -> Iterator[tuple[str, int | str, str, str]]:
    """One line per labelled slide, and one per tile inside an annotation."""
    for unit in units.units:
        if unit.row.label:
            yield unit.name, "", unit.row.label, unit.row.group
        if unit.row.annotations:
            labels = annotated_tiles(folder / f"{unit.name}.h5", Path(unit.row.annotations), dataset.drawn_on)
            yield from ((unit.name, row, label, unit.row.group) for row, label in enumerate(labels) if label)


def annotated_tiles(store: Path, path: Path, drawn_on: str) -> list[str]:
    """Label of each tile of a store by annotations of the `slide` or its `bounds`; empty if the tile has none."""
    annotations = read_polygons(path)
    if not any(annotation.class_name for annotation in annotations):
        raise UserError(f"{path}: no annotation has a class: give them classes in QuPath and export again")
    with Store(store) as tiles:
        if not len(tiles):
            return []
        width, height = (Level0Px(float(tiles.file.attrs[f"tile_{side}_level0"])) for side in ("width", "height"))
        labels = tile_labels(annotations, tiles.column("coords") - _origin(tiles, drawn_on), width, height)
    log.info("%s: %s", path, _counts(Counter(labels[labels != ""].tolist())) or "no tile is inside an annotation")
    return labels.tolist()


def _origin(tiles: Store, drawn_on: str) -> tuple[int, int]:
    """x and y of (0, 0) of the annotations, in level-0 px of the slide."""
    if drawn_on == "slide":
        return 0, 0
    x, y = (tiles.file.attrs.get(f"bounds_{axis}_level0") for axis in "xy")
    if x is None:
        raise UserError(f"{tiles.path} was written before `drawn_on` existed: delete it, to tile the slide again")
    return int(x), int(y)


def natural_labels(folder: Path, dataset: NaturalDataset, units: Units) -> Iterator[tuple[str, int, str, str]]:
    """One line per labelled image, matched by key, since images that could not be decoded are not in the store."""
    for split in dict.fromkeys(unit.split for unit in units.units):
        source = open_source(dataset, split, units.rows)
        if source.labels is None:
            continue
        known = dict(zip(source.keys, zip(source.labels, source.groups or [""] * len(source.keys))))
        for unit in units.of_split(split):
            with Store(folder / f"{unit.name}.h5") as store:
                keys = store.column("key")
            for row, key in enumerate(keys):
                if key not in known:
                    raise UserError(
                        f"{folder / unit.name}.h5: its image '{key}' is no longer in the data set: import the data set "
                        "again with `--forcerun import_images`"
                    )
                label, group = known[key]
                if label:
                    yield unit.name, row, label, group


def _counts(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
