"""Labels of tiles, from what is drawn around them."""

import numpy as np

from gensis.slides.geojson import Annotation, rasterise
from gensis.slides.grid import coverage
from gensis.slides.mask import IGNORED_CLASSES

LEAST_FRACTION = 0.5
_CELLS = 32  # of the raster along a tile: a straight edge lies right to 1/64 of its side
_BAND_TILES = 8  # rows of tiles rasterised at once, so that memory does not grow with the slide's height
_ROUNDING = 1e-6


def tile_labels(annotations: list[Annotation], coords: np.ndarray, width: float, height: float) -> np.ndarray:
    """The class in whose annotations the most of each tile lies, if that is at least half of it.

    Args:
        annotations: drawn on the slide. Those without a class count for nothing; where most of a tile lies in one of a
            class Ignore or Ignore*, it has no label.
        coords: int64 (N, 2), x and y of the tiles' top-left corners in level-0 px.
        width: of a tile, in level-0 px.
        height: of a tile.

    Returns:
        str (N,); empty: no class, or several that cover the tile alike.
    """
    names = sorted({each.class_name for each in annotations if each.class_name})
    if not names or not len(coords):
        return np.full(len(coords), "")
    fractions = np.stack(
        [_fractions([each for each in annotations if each.class_name == name], coords, width, height) for name in names]
    )
    best = fractions.max(0)
    alone = (fractions > best - _ROUNDING).sum(0) == 1
    labels = np.array(["" if name.lower() in IGNORED_CLASSES else name for name in names])
    return np.where(alone & (best >= LEAST_FRACTION - _ROUNDING), labels[fractions.argmax(0)], "")


def _fractions(annotations: list[Annotation], coords: np.ndarray, width: float, height: float) -> np.ndarray:
    """Part of each tile that lies in any of some annotations: float64 (N,)."""
    cell = min(width, height) / _CELLS
    fractions = np.zeros(len(coords))
    highest, lowest = np.array([_extent(each) for each in annotations]).T
    bands = (coords[:, 1] - coords[:, 1].min()) // int(np.ceil(_BAND_TILES * height))
    for band in np.unique(bands):
        here = bands == band
        origin = coords[here].min(0)
        end = np.add(coords[here].max(0), (width, height))
        shape = np.ceil((end - origin)[::-1] / cell - _ROUNDING).astype(int)
        near = np.flatnonzero((highest < end[1]) & (lowest > origin[1]))
        raster = rasterise([annotations[i] for i in near], cell, tuple(shape), origin)
        left, top = ((coords[here] - origin) / cell).T
        fractions[here] = coverage(raster, left, top, width / cell, height / cell)
    return fractions


def _extent(annotation: Annotation) -> tuple[float, float]:
    """Least and largest y."""
    y = np.concatenate([polygon[0][:, 1] for polygon in annotation.polygons])
    return y.min(), y.max()
