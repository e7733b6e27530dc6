import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gensis.errors import UserError
from gensis.slides.geojson import Annotation, rasterise, read_polygons

SQUARE = [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]
HOLE = [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]
points = st.tuples(*[st.floats(-20, 60, allow_nan=False, width=32)] * 2)
rings = st.lists(points, min_size=3, max_size=7).map(lambda ring: np.array(ring, np.float64))


def is_inside(x: float, y: float, polygon: list[np.ndarray]) -> bool:
    """Whether a line from a point to the left crosses the rings an odd number of times."""
    inside = False
    for ring in polygon:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0)):
            if (y0 < y) != (y1 < y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) < x:
                inside = not inside
    return inside


def lies_on_an_edge(x: float, y: float, polygon: list[np.ndarray]) -> bool:
    """Whether a point is nearer than 1e-5 to an edge of the rings."""
    for ring in polygon:
        start, end = ring, np.roll(ring, -1, axis=0)
        along, to_point = end - start, [x, y] - start
        length2 = (along**2).sum(1)
        part = np.clip((along * to_point).sum(1) / np.where(length2 > 0, length2, 1), 0, 1)
        if (np.linalg.norm(to_point - part[:, None] * along, axis=1) < 1e-5).any():
            return True
    return False


@given(st.lists(st.lists(rings, min_size=1, max_size=3), min_size=1, max_size=3), st.sampled_from([1.0, 2.5, 7.0]))
@example([[np.array([[0, 0], [0, 2.0**-23], [4, 0]])]], 1.0)
@settings(max_examples=60, deadline=None)
def test_a_pixel_is_set_if_its_centre_lies_in_a_polygon(polygons, downsample):
    shape, origin = (9, 13), (3.25, -4.5)
    found = rasterise([Annotation("", tuple(map(tuple, polygons)))], downsample, shape, origin)
    for row, column in np.ndindex(shape):
        x, y = origin[0] + (column + 0.5) * downsample, origin[1] + (row + 0.5) * downsample
        if not any(lies_on_an_edge(x, y, polygon) for polygon in polygons):  # else either is right
            assert found[row, column] == any(is_inside(x, y, polygon) for polygon in polygons)


def test_polygons_that_share_an_edge_share_no_pixel_and_leave_none_out():
    left = (np.array([[0, 0], [4.5, 0], [6.5, 8], [0, 8]]),)
    right = (np.array([[4.5, 0], [8, 0], [8, 8], [6.5, 8]]),)
    one, other = (rasterise([Annotation("", (polygon,))], 1.0, (8, 8)) for polygon in (left, right))
    assert not (one & other).any()
    assert (one | other).all()


def test_a_hole_is_removed_from_its_own_polygon_only(tmp_path):
    path = tmp_path / "drawn.geojson"
    path.write_text(
        json.dumps({"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [[[3, 2], [4, 2], [4, 4], [3, 4]]]]})
    )
    expected = np.ones((8, 8), bool)
    expected[2:4, 2] = False
    assert (rasterise(read_polygons(path), 1.0, (8, 8)) == expected).all()


def feature(properties: dict | None, kind: str = "Polygon") -> dict:
    coordinates = [SQUARE] if kind == "Polygon" else [[SQUARE], [SQUARE, HOLE]]
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


@pytest.mark.parametrize(
    ("properties", "class_name"),
    [
        ({"classification": {"name": "Tumor", "color": [200, 0, 0]}, "name": "first"}, "Tumor"),
        ({"classification": {"names": ["Tumor", "Positive"], "color": [200, 0, 0]}}, "Tumor: Positive"),  # QuPath 0.4+
        ({"classification": {"name": "Tumor: Positive", "colorRGB": -3670016}}, "Tumor: Positive"),  # before
        ({"classification": {"name": "Tumor", "names": ["Tumor", "CD3 ", "CD8"]}}, "Tumor: CD3: CD8"),
        ({"classification": {"names": ["Stroma"]}, "name": "first"}, "Stroma"),
        ({"classification": ["Tumor", "Positive"]}, "Tumor: Positive"),
        ({"classification": {"name": None}, "objectType": "annotation"}, ""),
        ({"classification": {}}, ""),
        ({"classification": "Stroma"}, "Stroma"),
        ({"classification": None, "name": "Necrosis"}, "Necrosis"),
        ({"objectType": "annotation"}, ""),
        (None, ""),
    ],
)
def test_the_class_is_read_from_every_place_where_it_may_be_stored(tmp_path, properties, class_name):
    path = tmp_path / "drawn.geojson"
    path.write_text(json.dumps(feature(properties)))
    assert [annotation.class_name for annotation in read_polygons(path)] == [class_name]


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda one, two: {"type": "FeatureCollection", "features": [one, two]},
        lambda one, two: [one, two],
        lambda one, two: [one["geometry"], two["geometry"]],
    ],
    ids=["collection", "list", "geometries"],
)
def test_collections_lists_and_bare_geometries_are_read_alike(tmp_path, wrapped):
    path = tmp_path / "drawn.geojson"
    path.write_text(json.dumps(wrapped(feature({}), feature({}, "MultiPolygon"))), encoding="utf-8-sig")
    one, two = read_polygons(path)
    assert [len(one.polygons), len(two.polygons)] == [1, 2]
    assert [ring.tolist() for ring in two.polygons[1]] == [SQUARE, HOLE]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("\x00\x01", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "contains no polygons"),
        ('{"type": "FeatureCollection", "features": []}', "contains no polygons"),
        ('{"type": "FeatureCollection", "features": null}', "contains no polygons"),
        ("3", "an object without geometry"),
        ('{"type": "Feature", "geometry": null}', "an object without geometry"),
        ('{"type": "Feature"}', "an object without geometry"),
        ('{"type": "Point", "coordinates": [1, 2]}', "contains a Point"),
        ('{"type": "GeometryCollection", "geometries": []}', "contains a GeometryCollection"),
        ('{"type": "Polygon"}', "three or more points"),
        ('{"type": "Polygon", "coordinates": []}', "three or more points"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}', "three or more points"),
        ('{"type": "Polygon", "coordinates": [[0, 1, 2]]}', "three or more points"),
        ('{"type": "Polygon", "coordinates": [[[0], [1], [2]]]}', "three or more points"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, NaN], [2, 0]]]}', "three or more points"),
        ('{"type": "MultiPolygon", "coordinates": [3]}', "three or more points"),
        *(
            (
                f'{{"type": "Feature", "properties": {{"classification": {unread}}}}}',
                r"has a class without a name \(",
            )
            for unread in ("7", '{"label": "Tumor"}', '{"name": 3}', '{"names": ["Tumor", null]}')
        ),
    ],
)
def test_anything_but_polygons_is_a_one_line_error_with_the_file(tmp_path, text, said):
    path = tmp_path / "drawn.geojson"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        read_polygons(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
