"""Export the images of a bank's shard as files for other programs."""

import argparse
from pathlib import Path

import numpy as np

from gensis import command
from gensis.images.bank_filter import read_keep_mask
from gensis.images.export import WRITERS, image_name, read_labels, stored_images
from gensis.images.index import Index, read_index
from gensis.images.store import Store

COLUMNS = ("image", "label", "source", "partner", "alpha", "variant")


def main(arguments: argparse.Namespace) -> None:
    """Write the images that the bank's filter keeps, and their table."""
    index = read_index(arguments.train)
    with Store(arguments.store) as store:
        rows = np.flatnonzero(read_keep_mask(arguments.store)) if arguments.filtered else np.arange(len(store))
        sources, partners = (located(index, store.column(name)[rows]) for name in ("source", "partner"))
        pairs = [[image for image in pair if image] for pair in zip(sources, partners)]
        labels = read_labels(arguments.labels, (image for pair in pairs for image in pair))
        columns = {
            "label": [common_label([labels[image] for image in pair]) for pair in pairs],
            "source": [image_name(*source) for source in sources],
            "partner": [image_name(*partner) if partner else "" for partner in partners],
            "alpha": [float(str(alpha)) for alpha in store.column("alpha")[rows]],  # 0.3, not 0.30000001192
            "variant": store.column("variant")[rows].tolist(),
        }
        WRITERS[arguments.format](arguments.table, stored_images(store, rows, columns), COLUMNS)


def located(index: Index, rows: np.ndarray) -> list[tuple[str, int] | None]:
    """Unit and position in its store of each row of the train split, int64 (n,); None for -1."""
    units, positions = index.locate(np.maximum(rows, 0))
    found = zip(rows.tolist(), units.tolist(), positions.tolist())
    return [(index.units[unit], position) if row >= 0 else None for row, unit, position in found]


def common_label(labels: list[str]) -> str:
    """The label of all images that one was made from; empty if they differ."""
    return labels[0] if len(set(labels)) == 1 else ""


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--store", type=Path, required=True, help="generative-<NNNN>.h5 or interpolated-<NNNN>.h5")
    parser.add_argument("--filtered", action="store_true", help="leave out images that the bank's filter excludes")
    parser.add_argument("--train", type=Path, required=True, help="train.tsv of the bank's sources")
    parser.add_argument("--labels", type=Path, required=True, help="labels.tsv of the same data set")
    parser.add_argument("--format", choices=WRITERS, required=True)
    parser.add_argument("--table", type=Path, required=True, help="<shard>.tsv to write; the images go beside it")
    command.run(main, parser.parse_args())
