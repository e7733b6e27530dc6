"""Draw the overlay of each slide of a data set with its tissue and tiles, <unit>.jpg, and one contact sheet of all."""

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from gensis import command
from gensis.artifacts.files import read_json, write_saved
from gensis.artifacts.tables import read_table
from gensis.figures.contact_sheet import cell_size, contact_sheet, shown
from gensis.figures.slide_overlay import draw_overlay
from gensis.figures.slide_picture import SlideStatus, slide_picture
from gensis.figures.slide_view import read_slide
from gensis.progress import progress
from gensis.settings.datasets import Quality

JPEG_QUALITY = 88


def main(arguments: argparse.Namespace) -> None:
    """Draw the slides in several threads, then the contact sheet."""
    folder: Path = arguments.units.parent
    quality = Quality.model_validate(arguments.config)
    slides = [slide_status(folder, row) for row in read_table(arguments.units)]
    on_sheet = shown(slides)
    cell = cell_size(len(on_sheet))

    def draw(slide: SlideStatus, small: bool) -> tuple[Image.Image | None, dict[str, int]]:
        view = read_slide(folder / f"{slide.unit}.h5", quality, slide.images > 0)
        save(slide_picture(view, slide), arguments.overlays / f"{slide.unit}.jpg")
        return (draw_overlay(view, cell) if view and small else None), (view.grid.counts if view else {})

    overlays, counts = {}, Counter()
    with ThreadPoolExecutor(arguments.threads) as pool:
        wanted = set(on_sheet)
        drawn = pool.map(draw, slides, [position in wanted for position in range(len(slides))])
        for position, (picture, of_slide) in enumerate(progress(drawn, len(slides), "slides")):
            counts.update(of_slide)
            if position in wanted:
                overlays[position] = picture
    save(contact_sheet(folder.name, slides, overlays, counts), arguments.sheet)


def slide_status(folder: Path, row: dict[str, str]) -> SlideStatus:
    """Outcome of a slide, from its row of units.tsv and its JSON file."""
    reason = read_json(folder / f"{row['unit']}.json")["reason"]
    if row["outcome"] == "low_quality":
        reason = "no tile passes the `quality` thresholds of the data set: its tiles are yellow"
    return SlideStatus(row["unit"], row["outcome"], int(row["images"]), reason)


def save(picture: Image.Image, path: Path) -> None:
    """Write a JPEG atomically."""
    write_saved(path, lambda stream: picture.save(stream, format="JPEG", quality=JPEG_QUALITY))


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--units", type=Path, required=True, help="units.tsv, beside the slides' stores")
    parser.add_argument("--overlays", type=Path, required=True, help="folder of the overlays to draw")
    parser.add_argument("--sheet", type=Path, required=True, help="contact sheet of all slides to draw")
    command.run(main, parser.parse_args())
