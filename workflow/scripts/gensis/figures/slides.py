"""Overlays of slides with their tiles, and a list of the slides without tiles, with the reason."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gensis.figures.markup import count, details, figure, paragraph, picture, table, text
from gensis.figures.run import Dataset, Run
from gensis.figures.sampled_images import evenly
from gensis.figures.slide_overlay import draw_overlay
from gensis.figures.slide_view import read_slide
from gensis.figures.tile_status import TILE_STATUSES
from gensis.settings.datasets import Quality

MAX_DRAWN = 24
MAX_LISTED = 200
LONGEST_SIDE_PX = 480


def slides(run: Run, threads: int) -> str:
    """Overlays of all data sets of slides; empty if there is none."""
    datasets = [dataset for dataset in run.datasets if dataset.kind == "slides"]
    most = MAX_DRAWN // max(len(datasets), 1)
    return "\n".join(_dataset(dataset, run.study.datasets[dataset.name].quality, most, threads) for dataset in datasets)


def _dataset(dataset: Dataset, quality: Quality, max_drawn: int, threads: int) -> str:
    tiled = [unit for unit in dataset.units if int(unit["images"]) and (dataset.folder / f"{unit['unit']}.h5").exists()]
    drawn = [tiled[i] for i in evenly(len(tiled), max_drawn)]
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        pictures = list(pool.map(lambda unit: _slide(dataset.folder, unit, quality), drawn))
    left_out = len(tiled) - len(drawn)
    note = f"<b>{text(dataset.name)}</b>: {count(len(tiled), 'slide')} with tiles" + (
        f"; {len(drawn)} are shown, {left_out} are not." if left_out else "."
    )
    if drawn:
        note += (
            " The colour of a tile shows whether it is kept, or why it is left out. Dark line: outline of the tissue."
        )
    shown = [name for name in TILE_STATUSES if any(name in counts for _, counts in pictures)]
    gallery = f'<div class="gallery">{"".join(html for html, _ in pictures)}</div>'
    return "\n".join([paragraph(note), _legend(shown), gallery, _without_images(dataset)])


def _slide(folder: Path, unit: dict[str, str], quality: Quality) -> tuple[str, dict[str, int]]:
    """The figure of a slide, and its number of tiles by status."""
    view = read_slide(folder / f"{unit['unit']}.h5", quality)
    caption = f"<b>{text(unit['unit'])}</b><br>{text(unit['outcome'])}, {count(int(unit['images']), 'tile')}"
    if view is None:
        return figure('<p class="note">no thumbnail</p>', caption), {}
    drawn = draw_overlay(view, (LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    return figure(picture(drawn, f"{unit['unit']} with its tiles"), caption), view.grid.counts


def _legend(names: list[str]) -> str:
    """The legend of the colours."""
    statuses = [TILE_STATUSES[name] for name in names]
    patches = "".join(
        '<li><svg viewBox="0 0 22 12" aria-hidden="true"><rect x="1" y="1" width="20" height="10" '
        f'fill="rgb{status.colour}" fill-opacity="{status.solid:.2f}" stroke="rgb{status.colour}"/>'
        f"</svg>{text(status.label)}</li>"
        for status in statuses
    )
    return f'<ul class="legend">{patches}</ul>' if names else ""


def _without_images(dataset: Dataset) -> str:
    empty = [unit for unit in dataset.units if not int(unit["images"])]
    if not empty:
        return ""
    rows = [[text(unit["unit"]), text(unit["outcome"]), text(unit["reason"])] for unit in empty[:MAX_LISTED]]
    more = len(empty) - len(rows)
    note = paragraph(f"{more} more are listed in outcomes.tsv.", "note") if more else ""
    listing = table(["slide", "outcome", "reason"], rows, "reasons") + note
    title = f"{count(len(empty), 'slide')} of {dataset.name} without tiles"
    return f"<h3>{text(title)}</h3>{listing}" if len(empty) <= 10 else details(title, listing)
