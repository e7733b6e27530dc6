"""Values of several encoders on one scale, each as a dot with its interval."""

import math
from collections.abc import Callable

from gensis.figures.markup import text
from gensis.figures.scores import Mean

WIDTH, HEIGHT, MARGIN = 130, 20, 6


def strips(means: dict[str, Mean]) -> str:
    """A row for each encoder; chance is a dashed line through all rows."""
    chance = means["chance"].value if "chance" in means else math.nan
    numbers = [number for mean in means.values() for number in (mean.value, mean.low, mean.high)]
    present = [number for number in numbers if not math.isnan(number)]
    low, high = min(present), max(present)

    def x(value: float) -> float:
        return MARGIN + (value - low) / (high - low or 1) * (WIDTH - 2 * MARGIN)

    rows = "".join(
        f'<dt>{text(name)}</dt><dd>{_strip(mean, x, chance)}<span class="number">{mean.value:.3f}</span></dd>'
        for name, mean in means.items()
        if name != "chance"
    )
    return f"<dl>{rows}</dl>"


def _strip(mean: Mean, x: Callable[[float], float], chance: float) -> str:
    middle = HEIGHT / 2
    parts = []
    if not math.isnan(chance):
        parts.append(f'<path class="chance" d="M{x(chance):.1f} 0V{HEIGHT}"/>')
    if not math.isnan(mean.low + mean.high):
        parts.append(f'<path class="interval" d="M{x(mean.low):.1f} {middle}H{x(mean.high):.1f}"/>')
    parts.append(f'<circle cx="{x(mean.value):.1f}" cy="{middle}" r="3.5"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'
