"""Polygons that QuPath exports as GeoJSON (RFC 7946, but with coordinates in level-0 px)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gensis.errors import UserError
from gensis.slides.units import Downsample

Polygon = tuple[np.ndarray, ...]
"""Rings, float64 (n, 2) of x and y in level-0 px: the outline, then its holes. Rings need not be closed."""

_EXPORT_AGAIN = "export it from QuPath again (File > Export objects as GeoJSON)"


@dataclass(frozen=True)
class Annotation:
    """One annotation object."""

    class_name: str
    """Empty if it has no class."""
    polygons: tuple[Polygon, ...]


def read_polygons(path: Path) -> list[Annotation]:
    """Read the annotations that a cell of a sheet names; see `read_annotations`.

    Raises:
        UserError: the file is missing, has no polygons, or is not as `read_annotations` needs it.
    """
    try:
        annotations = read_annotations(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: correct the sheet") from None
    if not annotations:
        raise UserError(f"{path} contains no polygons: draw some, or leave the sheet's cell empty")
    return annotations


def read_annotations(path: Path) -> list[Annotation]:
    """Read a feature collection, a list of features, one feature or one geometry; it may have no polygons.

    The class is read from a feature's property `classification`: a string, or an object with `name` or, for derived
    classes since QuPath 0.4, with `names`, which are joined as in QuPath: `Tumor: Positive`. Without this property, the
    property `name` is the class.

    Raises:
        FileNotFoundError: there is no file.
        UserError: it is not GeoJSON, has shapes other than polygons, or has an invalid class.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not JSON: {_EXPORT_AGAIN}") from None
    return [
        Annotation(_class_name(path, feature), tuple(_polygons(path, feature.get("geometry"))))
        for feature in _features(values)
    ]


def rasterise(
    annotations: Sequence[Annotation],
    downsample: Downsample,
    shape: tuple[int, int],
    origin_level0: Sequence[float] = (0, 0),
) -> np.ndarray:
    """Mask of the pixels whose centre lies inside an annotation.

    Args:
        annotations: to rasterise; a hole is removed from its own polygon only.
        downsample: level-0 px per px of the raster.
        shape: height and width of the raster.
        origin_level0: x and y of the raster's top-left corner.

    Returns:
        bool `shape`.
    """
    mask = np.zeros(shape, bool)
    for annotation in annotations:
        for polygon in annotation.polygons:
            _fill(mask, [(ring - origin_level0) / downsample for ring in polygon])
    return mask


def _fill(mask: np.ndarray, rings: list[np.ndarray]) -> None:
    """Set the pixels of one polygon, by the even-odd rule.

    Args:
        mask: bool (H, W), changed in place.
        rings: float64 (n, 2), in px of the mask.
    """
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    height, width = mask.shape
    top, left = np.clip(np.floor(start.min(0) - 0.5), 0, (width, height)).astype(int)[::-1]
    bottom, right = np.clip(np.ceil(start.max(0) + 0.5), 0, (width, height)).astype(int)[::-1]
    if top >= bottom or left >= right:
        return
    # Rows of pixel centres that each edge crosses; edges are half open, so that corners count once.
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first = np.clip(np.ceil(low - 0.5), top, bottom).astype(int)
    crossed = np.clip(np.ceil(high - 0.5), top, bottom).astype(int) - first
    edge = np.repeat(np.arange(len(start)), crossed)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed)
    slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
    x = start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope
    column = np.clip(np.ceil(x - 0.5), left, right).astype(int)
    crossings = np.zeros((bottom - top, right - left + 1), np.uint8)
    np.bitwise_xor.at(crossings, (row - top, column - left), 1)
    mask[top:bottom, left:right] |= np.bitwise_xor.accumulate(crossings, axis=1)[:, :-1].astype(bool)


def _features(values: Any) -> Iterator[dict[str, Any]]:
    """The features of any top-level object; a bare geometry becomes a feature."""
    if isinstance(values, list):
        for value in values:
            yield from _features(value)
    elif isinstance(values, dict) and values.get("type") == "FeatureCollection":
        yield from _features(values.get("features") or [])
    elif isinstance(values, dict):
        yield values if values.get("type") == "Feature" else {"geometry": values}
    else:
        yield {"geometry": values}


def _class_name(path: Path, feature: dict[str, Any]) -> str:
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        return ""
    classification = name = properties.get("classification")
    if isinstance(name, dict) and ("name" in name or "names" in name):
        name = name.get("names") or name.get("name")
    parts = name if isinstance(name, list) else [name or properties.get("name") or ""]
    if not all(isinstance(part, str) for part in parts):
        raise UserError(f"{path} has a class without a name ({json.dumps(classification)[:80]}): {_EXPORT_AGAIN}")
    return ": ".join(part.strip() for part in parts)


def _polygons(path: Path, geometry: Any) -> Iterator[Polygon]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise UserError(
            f"{path} contains {f'a {kind}' if isinstance(kind, str) else 'an object without geometry'}, not only "
            "polygons: remove it, or draw it as an area"
        )
    for rings in [geometry.get("coordinates")] if kind == "Polygon" else geometry.get("coordinates") or [None]:
        try:
            polygon = tuple(np.array([point[:2] for point in ring], np.float64) for ring in rings)
        except (TypeError, ValueError):
            polygon = ()
        if not polygon or not all(map(_is_ring, polygon)):
            raise UserError(f"{path} contains a {kind} that is not lists of three or more points: {_EXPORT_AGAIN}")
        yield polygon


def _is_ring(points: np.ndarray) -> bool:
    return points.ndim == 2 and points.shape[1] == 2 and len(points) > 2 and bool(np.isfinite(points).all())
