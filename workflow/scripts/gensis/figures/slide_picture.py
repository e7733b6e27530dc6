"""The overlay image of one slide: name and outcome, tiles and tissue, legend, resolution and scale bar."""

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from gensis.figures.lettering import INK, QUIET, WARNING, blank, font, legend, line_height, shortened, wrapped, write
from gensis.figures.markup import count
from gensis.figures.slide_overlay import TISSUE_LINE, draw_overlay, scale_to_fit
from gensis.figures.slide_view import SlideView
from gensis.figures.tile_status import TILE_STATUSES
from gensis.settings.datasets import Quality

LONG_SIDE_PX = 1600
MARGIN_PX = 24
_NARROWEST_PX = 1000  # of heading and footing, where the slide is narrow
_NAME_PX, _TEXT_PX = 36, 24
_BAR_PART = 0.2  # of the picture's width, at most
_EMPTY_FIELD_PX = (1000, 300)
_LINES_OF_REASON = 4


@dataclass(frozen=True)
class SlideStatus:
    """Outcome of tiling a slide."""

    unit: str
    outcome: str
    images: int
    reason: str = ""

    @property
    def summary(self) -> str:
        """Outcome and number of tiles."""
        return f"{self.outcome.replace('_', ' ')} · {count(self.images, 'tile')}"


def slide_picture(view: SlideView | None, status: SlideStatus) -> Image.Image:
    """The image of a slide, its longer side about LONG_SIDE_PX; without a thumbnail, the text alone."""
    picture = (
        draw_overlay(view, (LONG_SIDE_PX, LONG_SIDE_PX)) if view else Image.new("RGB", _EMPTY_FIELD_PX, (238, 240, 241))
    )
    width = max(picture.width, _NARROWEST_PX)
    heading, footing = _heading(status, width), _footing(view, picture.width, width)
    page, _ = blank(width + 2 * MARGIN_PX, heading.height + picture.height + footing.height)
    page.paste(heading, (0, 0))
    page.paste(picture, ((page.width - picture.width) // 2, heading.height))
    page.paste(footing, (0, heading.height + picture.height))
    if view is None:
        note = "no thumbnail: this slide could not be tiled"
        middle = (page.width / 2, heading.height + picture.height / 2)
        ImageDraw.Draw(page).text(middle, note, font=font(_TEXT_PX), fill=QUIET, anchor="mm")
    return page


def _heading(status: SlideStatus, width: int) -> Image.Image:
    page, brush = blank(width + 2 * MARGIN_PX, 400)
    y = write(brush, (MARGIN_PX, MARGIN_PX), [shortened(status.unit, _NAME_PX, width)], size_px=_NAME_PX)
    colour = INK if status.outcome == "ok" else WARNING
    y = write(brush, (MARGIN_PX, y), [status.summary], size_px=_TEXT_PX, colour=colour)
    reason = wrapped(status.reason, _TEXT_PX, width)[:_LINES_OF_REASON]
    y = write(brush, (MARGIN_PX, y), reason, size_px=_TEXT_PX, colour=QUIET)
    return page.crop((0, 0, page.width, round(y) + MARGIN_PX // 2))


def _footing(view: SlideView | None, picture_width: int, width: int) -> Image.Image:
    page, brush = blank(width + 2 * MARGIN_PX, 800)
    if view is None:
        return page.crop((0, 0, page.width, MARGIN_PX))
    px_per_level0 = scale_to_fit(view.thumbnail.size, (LONG_SIDE_PX, LONG_SIDE_PX)) / view.downsample
    bar = _scale_bar(brush, view.attributes["mpp_x"] / px_per_level0, picture_width, page.width)
    entries = [(name, f"{TILE_STATUSES[name].label} {number:,}") for name, number in view.grid.counts.items()]
    y = legend(brush, (MARGIN_PX, MARGIN_PX), entries, size_px=_TEXT_PX, width=bar - 2 * MARGIN_PX)
    if view.tissue:
        middle = y + _TEXT_PX * 0.6
        brush.line((MARGIN_PX, middle, MARGIN_PX + _TEXT_PX, middle), TISSUE_LINE, 3)
        label = f"outline of the tissue, {view.tissue_part:.0%} of the slide"
        y = write(brush, (MARGIN_PX + _TEXT_PX * 1.4, y), [label], size_px=_TEXT_PX)
    y = max(y, MARGIN_PX + 2 * line_height(_TEXT_PX))  # the scale bar and its length
    y = write(brush, (MARGIN_PX, y), wrapped(_facts(view), _TEXT_PX, width), size_px=_TEXT_PX, colour=QUIET)
    return page.crop((0, 0, page.width, round(y) + MARGIN_PX))


def _facts(view: SlideView) -> str:
    of = view.attributes
    width, height, mpp_x, mpp_y = of["width_level0"], of["height_level0"], of["mpp_x"], of["mpp_y"]
    mpp = f"{mpp_x:.4g}" if math.isclose(mpp_x, mpp_y, rel_tol=1e-3) else f"{mpp_x:.4g} x {mpp_y:.4g}"
    return (
        f"{mpp} um/px from {of['mpp_source']} · {width:,} x {height:,} px, "
        f"{width * mpp_x / 1000:.3g} x {height * mpp_y / 1000:.3g} mm · "
        f"tiles of {of['patch_size']} px at {of['target_mpp']:.4g} um/px" + _thresholds(view.quality)
    )


def _thresholds(quality: Quality) -> str:
    least = [f"{score} >= {value:g}" for score, value in quality.minimum.items()]
    most = [f"{score} <= {value:g}" for score, value in quality.maximum.items()]
    return f" · quality: {', '.join(least + most)}" if quality else ""


def _scale_bar(brush: ImageDraw.ImageDraw, um_per_px: float, picture_width: int, page_width: int) -> float:
    """Draw a bar of a round length below the right edge of the slide; return its left end."""
    length_um = round_length(um_per_px * picture_width * _BAR_PART)
    length_px = length_um / um_per_px
    right = (page_width + picture_width) / 2
    left = right - length_px
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} um"
    brush.rectangle((left, MARGIN_PX + 6, right, MARGIN_PX + 11), fill=INK)
    brush.text(((left + right) / 2, MARGIN_PX + 18), label, font=font(_TEXT_PX), fill=INK, anchor="ma")
    return left


def round_length(most: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that does not exceed a length."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= most)
