"""The index of a data set's train split: which images there are, in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensis.artifacts.tables import read_table, write_table
from gensis.errors import UserError
from gensis.images.rows import ALL, parse_ranges

COLUMNS = ("unit", "images", "first_row", "content")


@dataclass(frozen=True)
class Index:
    """Units in order. An image's row is its unit's first row plus its number among those chosen of the unit."""

    folder: Path
    """Where `<unit>.h5` lie."""
    units: tuple[str, ...]
    first_rows: np.ndarray
    """int64 (units + 1,): where each unit begins, and last the number of images."""
    contents: tuple[str, ...]
    """Content id of each unit's store."""
    ranges: "Ranges | None" = None
    """Which images of the stores; None: all of them. They take 16 bytes a range, however many images there are."""

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    def paths(self) -> list[Path]:
        """The stores, in order."""
        return [self.folder / f"{unit}.h5" for unit in self.units]

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit number and position in the unit's store of int64 (n,) rows."""
        unit = np.searchsorted(self.first_rows, rows, side="right") - 1
        return unit, rows - self.first_rows[unit] if self.ranges is None else self.ranges.positions(rows)


@dataclass(frozen=True)
class Ranges:
    """Images that are neighbours in the index and in a store, range by range, in the index's order."""

    first_rows: np.ndarray
    """int64 (ranges,): row of each range's first image."""
    first_positions: np.ndarray
    """int64 (ranges,): its position in its store."""

    def positions(self, rows: np.ndarray) -> np.ndarray:
        """Position in their stores of int64 (n,) rows."""
        at = np.searchsorted(self.first_rows, rows, side="right") - 1
        return self.first_positions[at] + rows - self.first_rows[at]


def write_index(path: Path, units: list[tuple[str, int, str]], rows: Mapping[str, str] = {}) -> None:
    """Write `train.tsv`; units without images are left out.

    Args:
        path: the file to make.
        units: unit, number of images, content id of its store.
        rows: unit -> which rows of its store, as text (`gensis.images.rows`), where these are not all.
    """
    lines, first_row = [], 0
    for unit, images, content in units:
        if images:
            lines.append((unit, images, first_row, content, rows.get(unit, ALL)))
            first_row += images
    columns = [*COLUMNS, "rows"] if any(line[-1] for line in lines) else COLUMNS
    write_table(path, columns, [line[: len(columns)] for line in lines])


def read_index(path: Path) -> Index:
    """Read `train.tsv`, which lies beside the stores.

    Raises:
        UserError: no image in it.
    """
    lines = read_table(path)
    if not lines:
        raise UserError(f"{path} lists no images: the train split is empty")
    return index_of(Path(path).parent, lines)


def index_of(folder: Path, lines: Sequence[dict[str, str]]) -> Index:
    """The index of some lines of `train.tsv` or `units.tsv`, each with images.

    Args:
        folder: where the stores lie.
        lines: at least one.
    """
    counts = [int(line["images"]) for line in lines]
    ranges = None
    if "rows" in lines[0]:
        first, length = (
            np.concatenate(parts)
            for parts in zip(*(parse_ranges(line["rows"], count) for line, count in zip(lines, counts)))
        )
        ranges = Ranges(np.cumsum(length) - length, first)
    return Index(
        folder,
        tuple(line["unit"] for line in lines),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        tuple(line["content"] for line in lines),
        ranges,
    )
