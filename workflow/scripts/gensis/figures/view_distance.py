"""View distance of all banks in one picture: how far their views lie, and whether they keep the class."""

from dataclasses import dataclass
from typing import Any

from gensis.figures.chart import BOTTOM, LEFT, Axis, axes
from gensis.figures.labels import Label, place
from gensis.figures.markup import ABSENT, figure, table, text
from gensis.figures.run import Bank, Run

WIDTH, HEIGHT, TOP, RIGHT = 640, 360, 12, 16
RADIUS_PX = 5
LARGEST_ERROR = 0.25
"""Standard error of a relative distance up to which the axis shows it whole; the table has its value."""
REFERENCES = {
    "views": "ordinary views",
    "neighbours": "nearest neighbours",
    "same_class": "other image of the class",
    "others": "any other image",
}
"""Kind of real image -> its name."""


@dataclass(frozen=True)
class Point:
    """Measurements of the views of one image per source."""

    name: str
    is_bank: bool
    measured: dict[str, Any]
    """A point of `view_distance` in quality.json."""

    @property
    def distance(self) -> float:
        """Relative distance."""
        return self.measured["relative_distance"]

    @property
    def consistency(self) -> float | None:
        """Class consistency; None where it is not known."""
        return self.measured["class_consistency"]

    def error(self, name: str) -> float:
        """Standard error of a measure; 0 where it is not known."""
        return self.measured[f"{name}_error"] or 0.0


def view_distances(run: Run) -> str:
    """A picture and a table for each encoder that judges: of all banks that it judges, of their first seed."""
    judged: dict[str, dict[str, Bank]] = {}
    for bank in run.banks:
        if bank.quality.get("view_distance"):
            judge = run.study.evaluation.judge or run.study.banks[bank.name].encoder
            judged.setdefault(judge, {}).setdefault(bank.name, bank)
    is_neutral = run.study.evaluation.judge is not None
    return "\n".join(_judged(judge, list(banks.values()), is_neutral) for judge, banks in judged.items())


def _judged(judge: str, banks: list[Bank], is_neutral: bool) -> str:
    points, caption = _points(banks), _caption(judge, is_neutral)
    drawn = [point for point in points if point.consistency is not None]
    chance = banks[0].quality["view_distance"]["chance"]
    picture = figure(_picture(drawn, chance), caption, "distances") if drawn else ""
    names = ("relative_distance", "class_consistency")
    rows = [[text(each.name), *(_cell(each, name) for name in names), f"{each.measured['n']:,}"] for each in points]
    below = "Below a value: ± standard error."
    header = ["views of", "relative distance", "class consistency", "sources"]
    return picture + figure(table(header, rows, "numbers"), below if drawn else f"{caption} {below}")


def _points(banks: list[Bank]) -> list[Point]:
    """The banks, and the real images of the first of them."""
    of_banks = [(bank, point) for bank in banks for point in bank.quality["view_distance"]["points"]]
    points = [Point(f"bank {bank.name}", True, point) for bank, point in of_banks if point["kind"] == "bank"]
    return points + [
        Point(REFERENCES[point["kind"]], False, point)
        for bank, point in of_banks
        if bank is banks[0] and point["kind"] in REFERENCES
    ]


def _cell(point: Point, name: str) -> str:
    if (value := point.measured[name]) is None:
        return ABSENT
    error = point.error(name)
    return f"{value:.3f}" + (f"<small>± {error:.3f}</small>" if error else "")


def _picture(points: list[Point], chance: float) -> str:
    """Relative distance (x) and class consistency (y): banks as filled squares, real images as circles."""
    points = sorted(points, key=lambda point: (point.is_bank, point.distance))  # squares lie above circles
    # Errors of a ratio can be many times its value where few groups are measured: they must not squeeze the points.
    ends = [(each.distance, min(each.error("relative_distance"), LARGEST_ERROR)) for each in points]
    x = Axis(*_range(ends, [0.0, 1.0]), LEFT, WIDTH - RIGHT)
    ends = [(each.consistency, each.error("class_consistency")) for each in points]
    y = Axis(*_range(ends, [chance]), HEIGHT - BOTTOM, TOP)
    views = next(each for each in points if each.measured["kind"] == "views")
    left, level = x.px(views.distance), y.px(views.consistency)
    good = f'<rect class="good" x="{left:.1f}" y="{TOP}" width="{x.end_px - left:.1f}" height="{level - TOP:.1f}"/>'
    names = axes(x, y, "relative distance from the source", "class consistency")
    marks = [_mark(each, x, y) for each in points]
    at = [(x.px(each.distance), y.px(each.consistency)) for each in points]
    placed = place([each.name for each in points], at, (LEFT, TOP, WIDTH, HEIGHT - BOTTOM))
    labels = [_label(each, label, at_px) for each, label, at_px in zip(points, placed, at)]
    inner = "".join([good, *names, _chance(x, y, chance), *marks, *labels])
    label = "relative distance and class consistency of banks and real images"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{inner}</svg>'


def _range(values: list[tuple[float, float]], others: list[float]) -> tuple[float, float]:
    """Ends of an axis that shows values with their errors, and other values, with a margin."""
    shown = [*others, *(value + side * error for value, error in values for side in (-1, 1))]
    margin = 0.06 * (max(shown) - min(shown))
    return min(shown) - margin, max(shown) + margin


def _chance(x: Axis, y: Axis, value: float) -> str:
    """A dashed line, named at the left, since unrelated images lie near its right end."""
    at = f'x="{x.start_px + 4}" y="{y.px(value) - 4:.1f}"'
    return f'<path class="level" d="M{x.start_px} {y.px(value):.1f}H{x.end_px}"/><text {at}>chance</text>'


def _mark(point: Point, x: Axis, y: Axis) -> str:
    across, up = x.px(point.distance), y.px(point.consistency)
    wide, high = point.error("relative_distance"), point.error("class_consistency")
    lines = (
        f'<path class="error" d="M{max(x.px(point.distance - wide), x.start_px):.1f} {up:.1f}'
        f"H{min(x.px(point.distance + wide), x.end_px):.1f}"
        f'M{across:.1f} {y.px(point.consistency - high):.1f}V{y.px(point.consistency + high):.1f}"/>'
    )
    if not point.is_bank:
        return f'{lines}<circle class="reference" cx="{across:.1f}" cy="{up:.1f}" r="{RADIUS_PX}"/>'
    corner, side = (across - RADIUS_PX, up - RADIUS_PX), 2 * RADIUS_PX
    return f'{lines}<rect class="bank" x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{side}" height="{side}"/>'


def _label(point: Point, label: Label, at_px: tuple[float, float]) -> str:
    """Name of a point; a line leads to it if it could not be placed beside the point."""
    line = f'<path class="leader" d="M{at_px[0]:.1f} {at_px[1]:.1f}L{label.x_px:.1f} {label.y_px - 4:.1f}"/>'
    kind = ' class="bank"' if point.is_bank else ""
    at = f'x="{label.x_px:.1f}" y="{label.y_px:.1f}" text-anchor="{label.anchor}"'
    return f"{'' if label.is_beside else line}<text{kind} {at}>{text(point.name)}</text>"


def _caption(judge: str, is_neutral: bool) -> str:
    judged = (
        f"Judged by {text(judge)} (<code>evaluation.judge</code>)."
        if is_neutral
        else f"Judged by {text(judge)}, which conditions the bank. <b>This understates the distance</b> of a generated "
        "bank, because the diffusion model draws images that this very encoder embeds alike: name an encoder that was "
        "trained on other images in <code>evaluation.judge</code>."
    )
    return (
        "<b>Can the bank teach something?</b> Each point stands for views of one image per source: of a bank (squares) "
        "or of real images (circles). To the right: farther from the source's views (0: other views of the source "
        "itself, 1: views of any other image). Up: more often assigned to the source's class by the 20 nearest real "
        "images, among which are neither the source nor the image itself, nor others of their groups. <b>Good: far to "
        "the right, at the height of ordinary views or above</b> (shaded): such views are new to the encoder and still "
        f"show the class. Lines: ± standard error. Dashed: chance. {judged} Labels are used to measure, and to choose "
        "the other images of the class; no training sees them."
    )
