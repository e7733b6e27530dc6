"""Copies of images on two sides of a split or fold, which share no file and so are noticed by content alone."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gensis.artifacts.files import quick_id
from gensis.errors import UserError
from gensis.settings.same_files import stay_together
from gensis.settings.sheet import Row
from gensis.settings.units import Unit

_KEEP_ONE = "keep one of them, or the test measures memory"


def refuse_copied_units(folder: Path, units: Sequence[Unit], contents: Mapping[str, str]) -> None:
    """Refuse slides, or shards, that hold the same images and may be learnt from and tested on.

    Args:
        folder: of the data set.
        units: all units.
        contents: unit -> content id of its store, of those with images.

    Raises:
        UserError: two units do.
    """
    first: dict[str, Unit] = {}
    for unit in units:
        other = first.setdefault(contents.get(unit.name, unit.name), unit)
        together = other.split == unit.split and (unit.row is None or stay_together(other.row, unit.row))
        if other is not unit and not together:
            raise UserError(
                f"{folder}: '{other.name}' and '{unit.name}' hold the same images, copies of one source, and lie on "
                f"two sides of a split or fold: {_KEEP_ONE}"
            )


def refuse_copied_files(sheet: Path, rows: Sequence[Row]) -> None:
    """Refuse a sheet that lists copies of a file of train in test; a file that is not there any more is no copy.

    Only files of equal sizes are read, and of these at first the ends.

    Raises:
        UserError: two lines name such copies.
    """
    of_size: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if os.path.exists(row.path):
            of_size[os.path.getsize(row.path)].append(row)
    alike = [rows for same_size in of_size.values() for rows in _alike(same_size, blocks=2, block_bytes=1 << 12)]
    for one, other, *_ in (rows for maybe in alike for rows in _alike(maybe)):
        raise UserError(f"sheet {sheet}: '{one.name}' (train) and '{other.name}' (test) are copies: {_KEEP_ONE}")


def _alike(rows: Sequence[Row], **how: int) -> Iterator[list[Row]]:
    """Rows of both splits, those of train first, whose files are alike as far as they are read."""
    by_content: dict[str, list[Row]] = defaultdict(list)
    for row in rows if len({row.split for row in rows}) > 1 else ():
        by_content[quick_id(Path(row.path), **how)].append(row)
    for found in by_content.values():
        if len({row.split for row in found}) > 1:
            yield sorted(found, key=lambda row: row.split, reverse=True)
