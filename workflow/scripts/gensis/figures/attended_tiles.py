"""The most and the least attended tiles of each class."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gensis.figures.attended import SlideAttention, Tested
from gensis.figures.markup import figure, paragraph, picture, text
from gensis.images.codec import decode
from gensis.images.store import Store

TILES = 10
LARGEST_PX = 96

Tile = tuple[float, str, tuple[int, int]]
"""Attention as a multiple of uniform attention, slide, and top-left corner in level-0 px."""


def attended_tiles(folder: Path, slides: Iterable[SlideAttention], tested: Mapping[str, Tested]) -> str:
    """Two rows of tiles for each class of slides: with the largest and with the smallest attention.

    Args:
        folder: stores of the data set.
        slides: attention over all test slides.
        tested: test slide -> its outcome.
    """
    rows: dict[tuple[str, str], list[list[Tile]]] = {}
    for slide in slides:
        if slide.name in tested and (folder / f"{slide.name}.h5").exists():
            for order, tiles in {"most": extremes(slide, -1), "least": extremes(slide, 1)}.items():
                rows.setdefault((tested[slide.name].label, order), []).append(tiles)
    drawn = [
        paragraph(f"{f'Slides of class {text(called)}' if called else 'All test slides'}: {order} attended.", "note")
        + f'<div class="strip">{"".join(_figure(folder, tile) for tile in chosen(of_slides, order))}</div>'
        for (called, order), of_slides in sorted(rows.items(), key=lambda row: row[0][0])
    ]
    note = (
        f"Up to {TILES} tiles a row, of as many slides as possible. Below each tile: its attention, as a multiple of "
        "uniform attention."
    )
    return f'<div class="bank attended">{paragraph(note, "note")}{"".join(drawn)}</div>' if drawn else ""


def extremes(slide: SlideAttention, sign: int) -> list[Tile]:
    """Up to TILES tiles with the largest (sign -1) or the smallest attention (sign 1), in this order."""
    first = np.argsort(sign * slide.weights, kind="stable")[:TILES]
    return [(float(slide.relative[i]), slide.name, tuple(slide.coords_level0[i].tolist())) for i in first]


def chosen(of_slides: Sequence[list[Tile]], order: str) -> list[Tile]:
    """TILES of the tiles of several slides: as many of each slide as are needed if all slides have tiles enough."""
    of_slide = -(-TILES // len(of_slides))
    return sorted((tile for tiles in of_slides for tile in tiles[:of_slide]), reverse=order == "most")[:TILES]


def _figure(folder: Path, tile: Tile) -> str:
    relative, slide, corner = tile
    return figure(picture(read_tile(folder / f"{slide}.h5", corner), f"tile of {slide}"), f"{relative:.2f}")


def read_tile(path: Path, corner_level0: tuple[int, int]) -> Image.Image:
    """The stored tile at a position of a slide, with a longer side of LARGEST_PX at most."""
    with Store(path) as store:
        row = int(np.flatnonzero((store.column("coords") == corner_level0).all(axis=1))[0])
        tile = Image.fromarray(decode(store.read(row, row + 1)[0]))
    tile.thumbnail((LARGEST_PX, LARGEST_PX))
    return tile
