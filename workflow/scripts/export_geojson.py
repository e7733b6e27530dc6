"""Write the tile grid of each slide of a data set, with its scores, as <unit>.geojson for QuPath."""

import argparse
from pathlib import Path

from gensis import command
from gensis.artifacts.files import written_atomically
from gensis.artifacts.tables import read_table
from gensis.figures.grid_geojson import feature_collection
from gensis.figures.slide_view import read_grid, read_scores
from gensis.images.store import Store
from gensis.progress import progress
from gensis.settings.datasets import Quality


def main(arguments: argparse.Namespace) -> None:
    """Write a file for each slide."""
    folder: Path = arguments.units.parent
    quality = Quality.model_validate(arguments.config)
    units = read_table(arguments.units)
    for row in progress(units, len(units), "slides"):
        unit, is_used = row["unit"], int(row["images"]) > 0
        export(folder / f"{unit}.h5", quality, is_used, arguments.output / f"{unit}.geojson")


def export(store_path: Path, quality: Quality, is_used: bool, path: Path) -> None:
    """Write the grid of one slide."""
    with Store(store_path) as store:
        grid, scores = read_grid(store, quality, is_used), read_scores(store.file)
    with written_atomically(path) as temporary, open(temporary, "w", encoding="ascii") as stream:
        stream.writelines(f"{line}\n" for line in feature_collection(grid, scores))


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--units", type=Path, required=True, help="units.tsv, beside the slides' stores")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    command.run(main, parser.parse_args())
