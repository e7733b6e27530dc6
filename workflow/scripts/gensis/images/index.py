"""The index of a data set's train split: which images there are, in which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensis.artifacts.tables import read_table, write_table
from gensis.errors import UserError
from gensis.images.rows import ALL, parse_rows

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
    positions: np.ndarray | None = None
    """int64 (images,): position of each image in its store; None where each unit's are 0, 1, 2 and so on."""

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    def paths(self) -> list[Path]:
        """The stores, in order."""
        return [self.folder / f"{unit}.h5" for unit in self.units]

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit number and position in the unit's store of int64 (n,) rows."""
        unit = np.searchsorted(self.first_rows, rows, side="right") - 1
        return unit, rows - self.first_rows[unit] if self.positions is None else self.positions[rows]


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
    counts = [int(line["images"]) for line in lines]
    positions = None
    if "rows" in lines[0]:
        positions = np.concatenate([parse_rows(line["rows"], count) for line, count in zip(lines, counts)])
    return Index(
        Path(path).parent,
        tuple(line["unit"] for line in lines),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        tuple(line["content"] for line in lines),
        positions,
    )
