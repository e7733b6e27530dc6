"""Copies of images on both sides of a split or fold: different files with the same content."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gensis.artifacts.files import quick_id
from gensis.errors import UserError
from gensis.settings.same_files import stay_together
from gensis.settings.sheet import Row
from gensis.settings.units import Unit

_KEEP_ONE = "keep only one of them, otherwise the test measures memorisation"


def refuse_copied_units(folder: Path, units: Sequence[Unit], contents: Mapping[str, str]) -> None:
    """Refuse slides, or shards, with the same images that may be used for both training and testing.

    Args:
        folder: of the data set.
        units: all units.
        contents: unit -> content id of its store, for units with images.

    Raises:
        UserError: two units have the same images and may be on different sides of a split or fold.
    """
    first: dict[str, Unit] = {}
    for unit in units:
        other = first.setdefault(contents.get(unit.name, unit.name), unit)
        together = other.split == unit.split and (unit.row is None or stay_together(other.row, unit.row))
        if other is not unit and not together:
            raise UserError(
                f"{folder}: '{other.name}' and '{unit.name}' contain the same images (copies of one source) and are on "
                f"different sides of a split or fold: {_KEEP_ONE}"
            )


def refuse_copied_files(sheet: Path, rows: Sequence[Row]) -> None:
    """Refuse a sheet that lists copies of a training file in test. Files without an image that anybody could have
    learnt are skipped: empty ones, and those that do not exist any more or may not be read.

    Only files of equal size are read, and first only their beginning and end.

    Raises:
        UserError: two lines list copies of one file, one in train and one in test.
    """
    of_size: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if os.access(row.path, os.R_OK) and (size := os.path.getsize(row.path)):
            of_size[size].append(row)
    alike = [rows for same_size in of_size.values() for rows in _alike(same_size, blocks=2, block_bytes=1 << 12)]
    for one, other, *_ in (rows for maybe in alike for rows in _alike(maybe)):
        raise UserError(f"sheet {sheet}: '{one.name}' (train) and '{other.name}' (test) are copies: {_KEEP_ONE}")


def _alike(rows: Sequence[Row], **how: int) -> Iterator[list[Row]]:
    """Groups of rows of both splits, training rows first, whose files agree in the bytes that are read."""
    by_content: dict[str, list[Row]] = defaultdict(list)
    for row in rows if len({row.split for row in rows}) > 1 else ():
        by_content[quick_id(Path(row.path), **how)].append(row)
    for same in by_content.values():
        if len({row.split for row in same}) > 1:
            yield sorted(same, key=lambda row: row.split, reverse=True)
