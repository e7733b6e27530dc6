"""Labels beside the points of a chart, placed so that none covers another label or a point."""

from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER_PX, LINE_PX, GAP_PX = 6.6, 14, 9

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in px."""


@dataclass(frozen=True)
class Label:
    """Position of a text: its baseline, and which end of it is at ``x_px``."""

    x_px: float
    y_px: float
    anchor: str
    is_beside: bool = True
    """Whether it is next to its point."""

    def box(self, characters: int) -> Box:
        """The area that the text covers, about."""
        width = characters * CHARACTER_PX
        left = self.x_px - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y_px - LINE_PX + 3, left + width, self.y_px + 3


def place(names: Sequence[str], points_px: Sequence[tuple[float, float]], area: Box) -> list[Label]:
    """A place for the name of each point: right, left, above or below it, or farther up and down.

    Args:
        names: texts.
        points_px: their points.
        area: that labels must stay in.
    """
    taken = [(x - GAP_PX / 2, y - GAP_PX / 2, x + GAP_PX / 2, y + GAP_PX / 2) for x, y in points_px]
    placed = []
    for name, (x, y) in zip(names, points_px):
        candidates = _candidates(x, y)
        free = [each for each in candidates if _fits(each.box(len(name)), area, taken)]
        placed.append(free[0] if free else candidates[0])
        taken.append(placed[-1].box(len(name)))
    return placed


def _candidates(x: float, y: float) -> list[Label]:
    middle = y + LINE_PX / 3
    near = [
        Label(x + GAP_PX, middle, "start"),
        Label(x - GAP_PX, middle, "end"),
        Label(x, y - GAP_PX, "middle"),
        Label(x, y + GAP_PX + LINE_PX - 4, "middle"),
    ]
    further = [
        Label(x + side * 2 * GAP_PX, middle + step * LINE_PX, anchor, is_beside=False)
        for step in (-2, 2, -3, 3, -4, 4)
        for side, anchor in ((-1, "end"), (1, "start"))
    ]
    return near + further


def _fits(box: Box, area: Box, taken: Sequence[Box]) -> bool:
    inside = area[0] <= box[0] and area[1] <= box[1] and box[2] <= area[2] and box[3] <= area[3]
    return inside and not any(_overlap(box, other) for other in taken)


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
