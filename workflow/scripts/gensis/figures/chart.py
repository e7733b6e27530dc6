"""A line chart as inline SVG. Colours come from the style of the page, so that they follow light and dark mode."""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from gensis.figures.markup import text
from gensis.figures.palette import SERIES
from gensis.figures.sampled_images import evenly

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 60, 10, 18, 40
MAX_POINTS = 300
COLOURS = len(SERIES)


@dataclass(frozen=True)
class Line:
    """One curve; points whose y is not finite are left out."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    _: KW_ONLY
    colour: int
    dashed: bool = False

    def points(self) -> list[tuple[float, float]]:
        """At most MAX_POINTS finite points, evenly chosen."""
        finite = [(x, y) for x, y in zip(self.x, self.y) if math.isfinite(x) and math.isfinite(y)]
        return [finite[i] for i in evenly(len(finite), MAX_POINTS)]


@dataclass(frozen=True)
class Axis:
    """Maps values to px along one axis."""

    low: float
    high: float
    start_px: float
    end_px: float

    def px(self, value: float) -> float:
        """Position of a value, in px."""
        return self.start_px + (value - self.low) / (self.high - self.low) * (self.end_px - self.start_px)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values within the axis: steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / wanted
        power = 10 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def line_chart(lines: Sequence[Line], x_label: str, y_label: str, levels: dict[str, float] = {}) -> str:
    """Draw curves over common axes, with their legend.

    Args:
        lines: the curves; those with the same label share one entry of the legend, those without a label have none.
        x_label: name and unit of the x axis, which begins at 0.
        y_label: name and unit of the y axis, which fits the curves.
        levels: label -> y of a dotted horizontal line.

    Returns:
        Markup; empty if no curve has a point.
    """
    points = [point for line in lines for point in line.points()]
    if not points:
        return ""
    x = Axis(*_range([0.0, *(x for x, _ in points)], 0.0), LEFT, WIDTH - RIGHT)
    y = Axis(*_range([*(y for _, y in points), *levels.values()], 0.05), HEIGHT - BOTTOM, TOP)
    drawn = [*axes(x, y, x_label, y_label), *(_level(x, y, *level) for level in levels.items())]
    drawn += [_curve(line, x, y) for line in lines]
    chart = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(y_label)}">{"".join(drawn)}</svg>'
    return chart + _legend(lines)


def _range(values: list[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:  # as far as 0; nothing but zeros, as of a share, from 0 to 1
        low, high = (min(low, 0.0), max(high, 0.0)) if low else (0.0, 1.0)
    return low - margin * (high - low), high + margin * (high - low)


def axes(x: Axis, y: Axis, x_label: str, y_label: str) -> list[str]:
    """Axes with ticks, grid lines and names, as elements of an SVG; they need LEFT and BOTTOM px beside the plot."""
    left, right, bottom, middle = x.start_px, x.end_px, y.start_px, (y.start_px + y.end_px) / 2
    parts = [f'<path class="axis" d="M{left} {bottom}H{right}"/>']
    for value in y.ticks():
        parts.append(f'<path class="grid" d="M{left} {y.px(value):.1f}H{right}"/>')
        parts.append(f'<text x="{left - 6}" y="{y.px(value) + 4:.1f}" text-anchor="end">{value:,.6g}</text>')
    for value in x.ticks():
        anchor = "end" if x.px(value) > right - 12 else "middle"
        parts.append(f'<text x="{x.px(value):.1f}" y="{bottom + 16}" text-anchor="{anchor}">{value:,.10g}</text>')
    parts.append(
        f'<text class="name" x="{(left + right) / 2}" y="{bottom + BOTTOM - 4}" text-anchor="middle">'
        f"{text(x_label)}</text>"
    )
    parts.append(
        f'<text class="name" transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{text(y_label)}</text>'
    )
    return parts


def _level(x: Axis, y: Axis, label: str, value: float) -> str:
    return (
        f'<path class="level" d="M{LEFT} {y.px(value):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{WIDTH - RIGHT - 2}" y="{y.px(value) - 4:.1f}" text-anchor="end">{text(label)}</text>'
    )


def _curve(line: Line, x: Axis, y: Axis) -> str:
    points = line.points()
    colour = f"line{line.colour % COLOURS}"
    if len(points) == 1:
        return f'<circle class="{colour}" cx="{x.px(points[0][0]):.1f}" cy="{y.px(points[0][1]):.1f}" r="3"/>'
    path = " ".join(f"{x.px(a):.1f},{y.px(b):.1f}" for a, b in points)
    return f'<polyline class="{colour}{" dashed" if line.dashed else ""}" points="{path}"/>'


def _legend(lines: Sequence[Line]) -> str:
    entries = {line.label: line for line in lines if line.label and line.points()}
    items = "".join(
        f'<li><svg viewBox="0 0 22 8" aria-hidden="true"><polyline class="line{line.colour % COLOURS}'
        f'{" dashed" if line.dashed else ""}" points="0,4 22,4"/></svg>{text(label)}</li>'
        for label, line in entries.items()
    )
    return f'<ul class="legend">{items}</ul>' if items else ""
