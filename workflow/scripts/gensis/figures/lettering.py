"""Text on images, in the font that comes with Pillow, so that images are the same on every machine."""

from collections.abc import Iterable, Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from gensis.figures.tile_status import TILE_STATUSES

PAPER, INK, QUIET, WARNING = (255, 255, 255), (28, 35, 38), (91, 104, 109), (180, 60, 0)
_DRAWABLE = "·…"  # characters beyond ASCII that the font has and these images use
_LINE_HEIGHT = 1.35


@cache
def font(size_px: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    return ImageFont.load_default(size_px)


def drawable(text: str) -> str:
    """The text, with `?` for characters that the font lacks."""
    return "".join(letter if letter.isascii() or letter in _DRAWABLE else "?" for letter in text)


def line_height(size_px: int) -> int:
    """Distance of two lines in px."""
    return round(size_px * _LINE_HEIGHT)


def shortened(text: str, size_px: int, width_px: float) -> str:
    """The text, with an ellipsis in the middle where it is too wide, since names often differ at their end."""
    text = drawable(text)
    if font(size_px).getlength(text) <= width_px:
        return text
    for length in range(len(text) - 1, 0, -1):
        candidate = f"{text[: length - length // 2]}…{text[len(text) - length // 2 :]}"
        if font(size_px).getlength(candidate) <= width_px:
            return candidate
    return "…"


def wrapped(text: str, size_px: int, width_px: float) -> list[str]:
    """The text, wrapped into lines that fit the width."""
    lines: list[str] = []
    for word in drawable(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font(size_px).getlength(longer) <= width_px:
            lines[-1] = longer
        else:
            lines.append(shortened(word, size_px, width_px))
    return lines


def write(
    brush: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    lines: Iterable[str],
    *,
    size_px: int,
    colour: tuple[int, int, int] = INK,
) -> float:
    """Write lines one below the other; return the y below the last."""
    x, y = corner
    for line in lines:
        brush.text((x, y), line, font=font(size_px), fill=colour)
        y += line_height(size_px)
    return y


def legend(
    brush: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    entries: Sequence[tuple[str, str]],
    *,
    size_px: int,
    width: float,
) -> float:
    """Draw a colour patch and its label for each entry, as many in a line as fit.

    Args:
        brush: draws on the image.
        corner: left and top.
        entries: name of a status and its label.
        size_px: font size.
        width: in px.

    Returns:
        y below the last line.
    """
    left, y = corner
    x, patch = left, round(size_px * 0.9)
    for name, label in entries:
        needed = patch + size_px * 0.5 + font(size_px).getlength(drawable(label))
        if x > left and x + needed > left + width:
            x, y = left, y + line_height(size_px)
        top = y + round(size_px * 0.2)
        box = (x, top, x + patch, top + patch)
        brush.rectangle(
            box,
            fill=over_paper(name, TILE_STATUSES[name].fill),
            outline=over_paper(name, TILE_STATUSES[name].line),
            width=2,
        )
        brush.text((x + patch + size_px * 0.5, y), drawable(label), font=font(size_px), fill=INK)
        x += needed + size_px * 1.4
    return y + line_height(size_px) if entries else y


def over_paper(name: str, opacity: float) -> tuple[int, int, int]:
    """The colour of a status on white, a little stronger than in the overlay."""
    opacity = min(opacity * 1.5, 1.0)
    return tuple(round(value * opacity + 255 * (1 - opacity)) for value in TILE_STATUSES[name].colour)


def blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A white image and the brush that draws on it."""
    image = Image.new("RGB", (width, height), PAPER)
    return image, ImageDraw.Draw(image)
