import numpy as np
import pytest

from gensis.slides.geojson import Annotation
from gensis.slides.tile_labels import tile_labels

TILE = np.array([[1000, 2000]])
SIDE = 100.0


def box(class_name: str, left: float, top: float, right: float, bottom: float) -> Annotation:
    """A rectangle in fractions of the tile's side, relative to the tile's corner."""
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return Annotation(class_name, ((TILE[0] + corners * SIDE,),))


@pytest.mark.parametrize(
    ("drawn", "label"),
    [
        ([box("x", 0, 0, 0.5, 1)], "x"),
        ([box("x", 0, 0, 0.48, 1)], ""),
        ([box("x", 0, 0, 1, 0.3), box("x", 0, 0.7, 1, 1)], "x"),  # half in the class, in two pieces
        ([box("x", 0, 0, 1, 0.4), box("x", 0, 0, 0.4, 1), box("y", 0, 0.4, 1, 1)], "x"),  # 0.64, counted once
        ([box("x", 0, 0, 1, 0.6), box("y", 0, 0, 1, 0.8)], "y"),
        ([box("x", 0, 0, 1, 1), box("y", -1, -1, 2, 2)], ""),  # completely in both
        ([box("x", 0, 0, 0.5, 1), box("y", 0.5, 0, 1, 1)], ""),
        ([box("Ignore*", 0, 0, 1, 1), box("x", 0, 0, 0.9, 1)], ""),
        ([box("Ignore*", 0, 0, 0.3, 1), box("x", 0, 0, 0.9, 1)], "x"),
        ([box("", 0, 0, 1, 1), box("x", 0, 0, 0.6, 1)], "x"),
        ([box("", 0, 0, 1, 1)], ""),
        ([], ""),
    ],
)
def test_a_tile_has_the_class_that_covers_most_and_at_least_half_of_it(drawn, label):
    assert tile_labels(drawn, TILE, SIDE, SIDE).tolist() == [label]


def test_tiles_anywhere_on_a_large_slide_are_labelled():
    rng = np.random.default_rng(0)
    side = 300.5
    coords = np.array([[round(x * side), round(y * side)] for y in range(120) for x in rng.choice(200, 4)])
    triangle = np.array([[5_000.0, 1_000.0], [55_000.0, 20_000.0], [2_000.0, 33_000.0]])
    grid = (np.arange(40) + 0.5) / 40 * side
    a, b, c = triangle

    def side_of(p, q, points):
        return (q[0] - p[0]) * (points[..., 1] - p[1]) - (q[1] - p[1]) * (points[..., 0] - p[0]) > 0

    points = coords[:, None, None] + np.stack(np.meshgrid(grid, grid), -1)
    fraction = (side_of(a, b, points) & side_of(b, c, points) & side_of(c, a, points)).mean((1, 2))
    labels = tile_labels([Annotation("x", ((triangle,),))], coords, side, side)
    clear = np.abs(fraction - 0.5) > 0.03
    assert np.array_equal((labels == "x")[clear], (fraction > 0.5)[clear])
    assert 20 < (labels == "x").sum() < len(labels) - 20
