"""Forest plot: differences between encoders on one scale, with their intervals."""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from gensis.figures.chart import Axis
from gensis.figures.markup import text

WIDTH, HEIGHT, MARGIN = 340, 26, 28


@dataclass(frozen=True)
class Row:
    """One pair of encoders; `low` and `high` are NaN where there is no interval."""

    label: str
    _: KW_ONLY
    difference: float
    low: float
    high: float
    by_seed: Sequence[float]
    sure: bool
    """Whether the difference may be claimed: its circle is filled, otherwise hollow."""


def forest(rows: Sequence[Row]) -> str:
    """A row for each pair: interval, mean, and a small dot for each seed; the vertical line is no difference."""
    numbers = [0.0, *(number for row in rows for number in (row.difference, row.low, row.high, *row.by_seed))]
    present = [number for number in numbers if not math.isnan(number)]
    low, high = min(present), max(present)
    if low == high:
        low, high = -0.01, 0.01
    axis = Axis(low, high, MARGIN, WIDTH - MARGIN)
    drawn = "".join(
        f"<dt>{text(row.label)}</dt><dd>{_svg(_row(row, axis), row.label)}"
        f'<span class="number">{_number(row)}</span></dd>'
        for row in rows
    )
    return f'<dl>{drawn}<dt></dt><dd>{_svg(_ticks(axis), "scale")}<span class="number"></span></dd></dl>'


def _number(row: Row) -> str:
    """The difference with its interval, as markup."""
    interval = "" if math.isnan(row.low + row.high) else f"<small>{row.low:+.3f} to {row.high:+.3f}</small>"
    return f"{row.difference:+.3f}{interval}"


def _svg(parts: str, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">{parts}</svg>'


def _row(row: Row, axis: Axis) -> str:
    middle = HEIGHT / 2
    parts = [f'<path class="zero" d="M{axis.px(0):.1f} 0V{HEIGHT}"/>']
    parts += [f'<circle class="seed" cx="{axis.px(value):.1f}" cy="{middle}" r="2.2"/>' for value in row.by_seed]
    if not math.isnan(row.low + row.high):
        parts.append(f'<path class="interval" d="M{axis.px(row.low):.1f} {middle}H{axis.px(row.high):.1f}"/>')
    kind = "mean sure" if row.sure else "mean"
    parts.append(f'<circle class="{kind}" cx="{axis.px(row.difference):.1f}" cy="{middle}" r="4.5"/>')
    return "".join(parts)


def _ticks(axis: Axis) -> str:
    parts = [f'<path class="axis" d="M{MARGIN} 0.5H{WIDTH - MARGIN}"/>']
    for value in axis.ticks(4):
        parts.append(f'<path class="axis" d="M{axis.px(value):.1f} 0V5"/>')
        parts.append(f'<text x="{axis.px(value):.1f}" y="20" text-anchor="middle">{_tick(value)}</text>')
    return "".join(parts)


def _tick(value: float) -> str:
    return f"{value:+.4g}" if abs(value) > 1e-9 else "0"
