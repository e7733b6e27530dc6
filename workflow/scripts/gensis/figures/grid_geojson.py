"""The grid of a slide with its scores as GeoJSON for QuPath (0.4 and later): one tile object for each tile.

QuPath reads `objectType`, `classification` and the numbers in `measurements` from a feature's properties, and reads
coordinates as px of the whole slide at full resolution. Its measurement tables and maps include tile objects.
"""

import json
import math
from collections.abc import Iterator, Mapping

import numpy as np

from gensis.figures.slide_view import Grid
from gensis.figures.tile_status import NAMES, TILE_STATUSES

_DIGITS = 6  # significant digits of a score: float32 has seven


def feature_collection(grid: Grid, scores: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Lines of the document.

    Args:
        grid: the tiles.
        scores: name -> float32 (T,); NaN is left out, since JSON has none.
    """
    yield '{"type": "FeatureCollection", "features": ['
    classes = [{"name": name, "color": list(TILE_STATUSES[name].colour)} for name in NAMES]
    columns = {name: values.tolist() for name, values in scores.items()}
    last = len(grid.statuses) - 1
    for tile, ((x, y), status) in enumerate(zip(grid.coords_level0.tolist(), grid.statuses.tolist())):
        feature = {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [_ring(x, y, grid.width_level0, grid.height_level0)]},
            "properties": {
                "objectType": "tile",
                "classification": classes[status],
                "measurements": {
                    name: float(f"{values[tile]:.{_DIGITS}g}")
                    for name, values in columns.items()
                    if not math.isnan(values[tile])
                },
            },
        }
        yield json.dumps(feature) + ("," if tile < last else "")
    yield "]}"


def _ring(x: int, y: int, width: float, height: float) -> list[tuple[float, float]]:
    right, bottom = x + width, y + height
    return [(x, y), (right, y), (right, bottom), (x, bottom), (x, y)]
