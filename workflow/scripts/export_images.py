"""Export the images of a slide, or of a shard of natural images, as files for other programs."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from gensis import command
from gensis.artifacts.tables import read_table
from gensis.images.export import SPLITS, WRITERS, read_labels, remove_unlisted, stored_images
from gensis.images.rows import ALL, parse_rows
from gensis.images.store import Store


def main(arguments: argparse.Namespace) -> None:
    """Write the images that `units.tsv` selects, and their table; remove units that it does not list any more."""
    unit, lines = arguments.store.stem, read_table(arguments.units)
    selected = next(line.get("rows", ALL) for line in lines if line["unit"] == unit)
    if arguments.table.parent.name in SPLITS:
        remove_unlisted(arguments.table.parents[1], {(line["split"] or "train", line["unit"]) for line in lines})
    with Store(arguments.store) as store:
        rows = parse_rows(selected, len(store))
        labels = read_labels(arguments.labels, [(unit, row) for row in rows.tolist()])
        columns = {"label": list(labels.values()), **origins(store, rows)}
        images = stored_images(store, rows, columns)
        WRITERS[arguments.format](arguments.table, images, ("image", *columns))


def origins(store: Store, rows: np.ndarray) -> dict[str, list[Any]]:
    """Where images come from: position in the slide, or name in the source."""
    if "coords" in store.file:
        x, y = store.column("coords")[rows].T.tolist()
        return {"x_level0": x, "y_level0": y}
    return {"key": store.column("key")[rows].tolist()} if "key" in store.file else {}


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--store", type=Path, required=True, help="image store of the slide or shard")
    parser.add_argument("--units", type=Path, required=True, help="units.tsv")
    parser.add_argument("--labels", type=Path, required=True, help="labels.tsv")
    parser.add_argument("--format", choices=WRITERS, required=True)
    parser.add_argument("--table", type=Path, required=True, help="<unit>.tsv to write; the images go beside it")
    command.run(main, parser.parse_args())
