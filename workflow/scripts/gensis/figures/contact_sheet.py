"""The contact sheet: all slides of a data set in one picture."""

import math
from collections import Counter
from collections.abc import Sequence

from PIL import Image, ImageDraw

from gensis.figures.lettering import QUIET, WARNING, blank, font, legend, line_height, shortened, wrapped, write
from gensis.figures.markup import count
from gensis.figures.sampled_images import evenly
from gensis.figures.slide_picture import SlideStatus
from gensis.figures.tile_status import TILE_STATUSES

MAX_SLIDES = 1000
"""About 40 megapixels; many image viewers do not open larger pictures."""
_AREA_PX = 24e6
_SMALLEST_PX, _LARGEST_PX = 160, 360
_HEIGHT_PART = 0.75  # of a cell's width
_GAP_PX, _MARGIN_PX = 16, 32
_TITLE_PX, _TEXT_PX, _SMALLEST_TEXT_PX = 34, 22, 13


def shown(slides: Sequence[SlideStatus]) -> list[int]:
    """Positions of the slides to show: all; of too many, those without tiles first, then an even choice of others."""
    if len(slides) <= MAX_SLIDES:
        return list(range(len(slides)))
    empty = [position for position, slide in enumerate(slides) if not slide.images]
    tiled = [position for position, slide in enumerate(slides) if slide.images]
    empty = [empty[i] for i in evenly(len(empty), max(MAX_SLIDES // 2, MAX_SLIDES - len(tiled)))]
    return sorted(empty + [tiled[i] for i in evenly(len(tiled), MAX_SLIDES - len(empty))])


def cell_size(slides: int) -> tuple[int, int]:
    """Width and height in px of the cell for the picture of each slide."""
    width = round(min(max(math.sqrt(_AREA_PX / slides), _SMALLEST_PX), _LARGEST_PX))
    return width, round(width * _HEIGHT_PART)


def contact_sheet(
    dataset: str, slides: Sequence[SlideStatus], pictures: dict[int, Image.Image | None], counts: Counter[str]
) -> Image.Image:
    """Draw all slides, each with name, outcome and number of tiles.

    Args:
        dataset: name.
        slides: all slides, in the sheet's order.
        pictures: position of a slide that is shown -> its picture, no larger than `cell_size`; None if it has none.
        counts: name of a status -> number of tiles with it, over all slides.
    """
    width, height = cell_size(len(pictures))
    text_px = max(round(width / 14), _SMALLEST_TEXT_PX)
    step = (width + _GAP_PX, height + 2 * line_height(text_px) + _GAP_PX)
    columns = max(min(len(pictures), round(math.sqrt(len(pictures) * 1.4 * step[1] / step[0]))), 1)
    columns = max(columns, -(-_LARGEST_PX * 3 // step[0]))
    rows = -(-len(pictures) // columns)
    heading = _heading(dataset, slides, drawn=len(pictures), counts=counts, width=columns * step[0])
    page, brush = blank(columns * step[0] - _GAP_PX + 2 * _MARGIN_PX, heading.height + rows * step[1] + _MARGIN_PX)
    page.paste(heading, (0, 0))
    for place, (position, picture) in enumerate(sorted(pictures.items())):
        corner = (_MARGIN_PX + place % columns * step[0], heading.height + place // columns * step[1])
        _cell(
            page, brush, corner=corner, size=(width, height), text_px=text_px, slide=slides[position], picture=picture
        )
    return page


def _heading(
    dataset: str, slides: Sequence[SlideStatus], *, drawn: int, counts: Counter[str], width: int
) -> Image.Image:
    page, brush = blank(width + 2 * _MARGIN_PX, 600)
    y = write(brush, (_MARGIN_PX, _MARGIN_PX), [shortened(dataset, _TITLE_PX, width)], size_px=_TITLE_PX)
    kinds = ", ".join(
        f"{number:,} {name.replace('_', ' ')}"
        for name, number in Counter(slide.outcome for slide in slides).most_common()
    )
    tiles = sum(slide.images for slide in slides)
    summary = f"{count(len(slides), 'slide')}: {kinds} · {count(tiles, 'tile')}"
    y = write(brush, (_MARGIN_PX, y), wrapped(summary, _TEXT_PX, width), size_px=_TEXT_PX)
    if drawn < len(slides):
        note = (
            f"{drawn:,} are shown: slides without tiles, and others evenly chosen. The folder overlays has all slides."
        )
        y = write(brush, (_MARGIN_PX, y), wrapped(note, _TEXT_PX, width), size_px=_TEXT_PX, colour=WARNING)
    entries = [(name, f"{status.label} {counts[name]:,}") for name, status in TILE_STATUSES.items() if counts[name]]
    y = legend(brush, (_MARGIN_PX, y + 6), entries, size_px=_TEXT_PX, width=width)
    return page.crop((0, 0, page.width, round(y) + _GAP_PX))


def _cell(
    page: Image.Image,
    brush: ImageDraw.ImageDraw,
    *,
    corner: tuple[int, int],
    size: tuple[int, int],
    text_px: int,
    slide: SlideStatus,
    picture: Image.Image | None,
) -> None:
    (left, top), (width, height) = corner, size
    if picture:
        page.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2))
        brush.rectangle((left, top, left + width - 1, top + height - 1), outline=(221, 227, 229))
    else:
        brush.rectangle((left, top, left + width - 1, top + height - 1), fill=(238, 240, 241))
        middle = (left + width / 2, top + height / 2)
        brush.text(middle, slide.outcome.replace("_", " "), font=font(text_px), fill=QUIET, anchor="mm")
    y = write(brush, (left, top + height + 4), [shortened(slide.unit, text_px, width)], size_px=text_px)
    colour = QUIET if slide.outcome == "ok" else WARNING
    write(brush, (left, y), [shortened(slide.summary, text_px, width)], size_px=text_px, colour=colour)
