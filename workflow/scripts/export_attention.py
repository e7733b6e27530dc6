"""Write the attention of slide classifiers over each test slide: <task>/<unit>.geojson for QuPath, and a picture."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from gensis import command
from gensis.artifacts.files import write_saved, written_atomically
from gensis.figures.attended import SlideAttention, attending_tasks, read_attention, slides_of
from gensis.figures.attention import draw_attention
from gensis.figures.grid_geojson import feature_collection
from gensis.figures.slide_view import SlideView, read_slide
from gensis.figures.tile_status import KEPT
from gensis.progress import progress


def main(arguments: argparse.Namespace) -> None:
    """Write two files for each task and test slide."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    for task in attending_tasks(arguments.attention):
        names = slides_of(arguments.attention, task)
        for found in progress(read_attention(arguments.attention, task, names), len(names), f"slides, {task}"):
            view = read_slide(arguments.images / f"{found.name}.h5")
            export(view, found, arguments.output / task / found.name)


def export(view: SlideView, found: SlideAttention, path: Path) -> None:
    """Write the map of one slide, as ``path`` with both suffixes."""
    kept = np.full(len(found.weights), KEPT, np.uint8)
    grid = replace(view.grid, coords_level0=found.coords_level0, statuses=kept)
    scores = {"attention": found.weights, "relative_attention": found.relative}
    with (
        written_atomically(path.with_name(f"{path.name}.geojson")) as file,
        open(file, "w", encoding="ascii") as stream,
    ):
        stream.writelines(f"{line}\n" for line in feature_collection(grid, scores))
    picture = draw_attention(view, found.coords_level0, found.relative)
    write_saved(path.with_name(f"{path.name}.jpg"), partial(picture.save, format="JPEG"))


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--attention", type=Path, required=True, help="attention.h5")
    parser.add_argument("--images", type=Path, required=True, help="folder of the slides' stores")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    command.run(main, parser.parse_args())
