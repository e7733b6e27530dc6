"""The index of a data set's train split: which images there are, in which order."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensis.artifacts.tables import read_table, write_table
from gensis.errors import UserError

COLUMNS = ("unit", "images", "first_row", "content")


@dataclass(frozen=True)
class Index:
    """Units in order. An image's row is its unit's first row plus its position in the unit."""

    folder: Path
    """Where `<unit>.h5` lie."""
    units: tuple[str, ...]
    first_rows: np.ndarray
    """int64 (units + 1,): where each unit begins, and last the number of images."""
    contents: tuple[str, ...]
    """Content id of each unit's store."""

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    def paths(self) -> list[Path]:
        """The stores, in order."""
        return [self.folder / f"{unit}.h5" for unit in self.units]

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit number and position in the unit of int64 (n,) rows."""
        unit = np.searchsorted(self.first_rows, rows, side="right") - 1
        return unit, rows - self.first_rows[unit]


def write_index(path: Path, units: list[tuple[str, int, str]]) -> None:
    """Write `train.tsv` from (unit, images, content id); units without images are left out."""
    rows, first_row = [], 0
    for unit, images, content in units:
        if images:
            rows.append((unit, images, first_row, content))
            first_row += images
    write_table(path, COLUMNS, rows)


def read_index(path: Path) -> Index:
    """Read `train.tsv`, which lies beside the stores.

    Raises:
        UserError: no image in it.
    """
    lines = read_table(path)
    if not lines:
        raise UserError(f"{path} lists no images: the train split is empty")
    counts = [int(line["images"]) for line in lines]
    return Index(
        Path(path).parent,
        tuple(line["unit"] for line in lines),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        tuple(line["content"] for line in lines),
    )
