"""The index of a data set's train split: its images and their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensis.artifacts.tables import read_table, write_table
from gensis.errors import UserError
from gensis.images.rows import ALL, parse_ranges

COLUMNS = ("unit", "images", "first_row", "content")


@dataclass(frozen=True, kw_only=True)
class Index:
    """Units in order. An image's row is its unit's first row plus its number among the selected images of the unit."""

    folder: Path
    """Folder of the stores `<unit>.h5`."""
    units: tuple[str, ...]
    first_rows: np.ndarray
    """int64 (units + 1,): first row of each unit, then the number of images."""
    contents: tuple[str, ...]
    """Content id of each unit's store."""
    ranges: "Ranges | None" = None
    """The selected images of the stores; None: all images. Takes 16 bytes per range, whatever the number of images."""

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    def paths(self) -> list[Path]:
        """The stores, in order."""
        return [self.folder / f"{unit}.h5" for unit in self.units]

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Number of the unit, and position in the unit's store, for int64 (n,) rows."""
        unit = np.searchsorted(self.first_rows, rows, side="right") - 1
        return unit, rows - self.first_rows[unit] if self.ranges is None else self.ranges.positions(rows)


@dataclass(frozen=True)
class Ranges:
    """Ranges of images that are consecutive both in the index and in a store, in the order of the index."""

    first_rows: np.ndarray
    """int64 (ranges,): row of each range's first image."""
    first_positions: np.ndarray
    """int64 (ranges,): position of that image in its store."""

    def positions(self, rows: np.ndarray) -> np.ndarray:
        """Positions in the stores for int64 (n,) rows."""
        at = np.searchsorted(self.first_rows, rows, side="right") - 1
        return self.first_positions[at] + rows - self.first_rows[at]


def write_index(path: Path, units: list[tuple[str, int, str]], rows: Mapping[str, str] = {}) -> None:
    """Write `train.tsv`; units without images are left out.

    Args:
        path: the file to write.
        units: name, number of images and content id of the store of each unit.
        rows: unit -> selected rows of its store, as text (`gensis.images.rows`), if not all are selected.
    """
    lines, first_row = [], 0
    for unit, images, content in units:
        if images:
            lines.append((unit, images, first_row, content, rows.get(unit, ALL)))
            first_row += images
    columns = [*COLUMNS, "rows"] if any(line[-1] for line in lines) else COLUMNS
    write_table(path, columns, [line[: len(columns)] for line in lines])


def read_index(path: Path) -> Index:
    """Read `train.tsv`, which is in the folder of the stores.

    Raises:
        UserError: it lists no images.
    """
    lines = read_table(path)
    if not lines:
        raise UserError(f"{path} lists no images: the train split is empty")
    return index_of(Path(path).parent, lines)


def index_of(folder: Path, lines: Sequence[dict[str, str]]) -> Index:
    """The index of some lines of `train.tsv` or `units.tsv`, each with images.

    Args:
        folder: of the stores.
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
        folder=folder,
        units=tuple(line["unit"] for line in lines),
        first_rows=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        contents=tuple(line["content"] for line in lines),
        ranges=ranges,
    )
