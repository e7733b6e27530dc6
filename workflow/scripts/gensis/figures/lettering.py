"""Words on pictures, in the font that comes with Pillow, so that pictures are the same on every machine."""

from collections.abc import Iterable, Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from gensis.figures.tile_status import TILE_STATUSES

PAPER, INK, QUIET, WARNING = (255, 255, 255), (28, 35, 38), (91, 104, 109), (180, 60, 0)
_DRAWABLE = "·…"  # beyond ASCII, what the font has and these pictures use
_LINE_HEIGHT = 1.35


@cache
def font(size_px: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    return ImageFont.load_default(size_px)


def drawable(text: str) -> str:
    """The text with `?` for what the font has no letter for."""
    return "".join(letter if letter.isascii() or letter in _DRAWABLE else "?" for letter in text)


def line_height(size_px: int) -> int:
    """Distance of two lines in px."""
    return round(size_px * _LINE_HEIGHT)


def shortened(text: str, size_px: int, width_px: float) -> str:
    """The text, with an ellipsis in its middle where it is too wide: names often differ at their end."""
    text = drawable(text)
    if font(size_px).getlength(text) <= width_px:
        return text
    for kept in range(len(text) - 1, 0, -1):
        candidate = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if font(size_px).getlength(candidate) <= width_px:
            return candidate
    return "…"


def wrapped(text: str, size_px: int, width_px: float) -> list[str]:
    """The text in lines that fit."""
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
    size_px: int,
    colour: tuple[int, int, int] = INK,
) -> float:
    """Write lines one below the other; returns y below the last."""
    x, y = corner
    for line in lines:
        brush.text((x, y), line, font=font(size_px), fill=colour)
        y += line_height(size_px)
    return y


def legend(
    brush: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    entries: Sequence[tuple[str, str]],
    size_px: int,
    width: float,
) -> float:
    """Write a patch of colour and its meaning for each entry, as many beside each other as fit.

    Args:
        brush: of the picture.
        corner: left and top.
        entries: name of a status and what to write beside its colour.
        size_px: of the letters.
        width: in px.

    Returns:
        y below the last line.
    """
    left, y = corner
    x, patch = left, round(size_px * 0.9)
    for name, said in entries:
        needed = patch + size_px * 0.5 + font(size_px).getlength(drawable(said))
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
        brush.text((x + patch + size_px * 0.5, y), drawable(said), font=font(size_px), fill=INK)
        x += needed + size_px * 1.4
    return y + line_height(size_px) if entries else y


def over_paper(name: str, opacity: float) -> tuple[int, int, int]:
    """The colour of a status as it looks on white, a little stronger than in the picture."""
    opacity = min(opacity * 1.5, 1.0)
    return tuple(round(value * opacity + 255 * (1 - opacity)) for value in TILE_STATUSES[name].colour)


def blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A sheet of paper and what writes on it."""
    image = Image.new("RGB", (width, height), PAPER)
    return image, ImageDraw.Draw(image)
