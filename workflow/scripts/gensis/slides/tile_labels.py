"""Labels of tiles from annotations."""

import numpy as np

from gensis.slides.geojson import Annotation, rasterise
from gensis.slides.grid import coverage
from gensis.slides.mask import IGNORED_CLASSES
from gensis.slides.units import Downsample, Level0Px, RasterPx

LEAST_FRACTION = 0.5
_CELLS = 32  # raster cells along a side of a tile: a straight edge is exact to 1/64 of the side
_BAND_TILES = 8  # rows of tiles rasterised at once, so that memory use does not grow with the slide's height
_ROUNDING = 1e-6


def tile_labels(annotations: list[Annotation], coords: np.ndarray, width: Level0Px, height: Level0Px) -> np.ndarray:
    """The class that covers the largest fraction of each tile, if it covers at least half of it.

    Args:
        annotations: of the slide. Those without a class are ignored; a tile mostly covered by the class Ignore or
            Ignore* has no label.
        coords: int64 (N, 2), x and y of the tiles' top-left corners in level-0 px.
        width: of a tile, in level-0 px.
        height: of a tile.

    Returns:
        str (N,); empty if no class covers enough of the tile, or several cover it equally.
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


def _fractions(annotations: list[Annotation], coords: np.ndarray, width: Level0Px, height: Level0Px) -> np.ndarray:
    """Fraction of each tile that is covered by any of some annotations: float64 (N,)."""
    cell = Downsample(min(width, height) / _CELLS)
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
        tile_width, tile_height = RasterPx(width / cell), RasterPx(height / cell)
        fractions[here] = coverage(raster, left=left, top=top, width=tile_width, height=tile_height)
    return fractions


def _extent(annotation: Annotation) -> tuple[float, float]:
    """Smallest and largest y."""
    y = np.concatenate([polygon[0][:, 1] for polygon in annotation.polygons])
    return y.min(), y.max()
