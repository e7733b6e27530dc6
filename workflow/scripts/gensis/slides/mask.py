"""A user's mask of tissue: an image of the whole slide, or polygons."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from gensis.errors import UserError
from gensis.slides.geojson import rasterise, read_polygons

POLYGON_SUFFIXES = (".geojson", ".json")
# Areas of these classes (QuPath marks those that it leaves out with a star) are cut out of the others.
IGNORED_CLASSES = frozenset({"ignore", "ignore*"})
_NOT_TISSUE = IGNORED_CLASSES | {"background"}
_LARGEST_ASPECT_DIFFERENCE = 0.02


def read_mask(path: Path, size_level0: tuple[int, int], downsample: float, shape: tuple[int, int]) -> np.ndarray:
    """Read a mask of the whole slide as one of a thumbnail's shape.

    Args:
        path: an image file, where what is not black is tissue; or GeoJSON, where polygons are tissue, except for those
            of a class Ignore, Ignore* or Background, which are cut out of the others.
        size_level0: width and height of the slide in level-0 px.
        downsample: level-0 px per px of the thumbnail.
        shape: height and width of the thumbnail.

    Returns:
        bool `shape`.

    Raises:
        UserError: the file is missing, is no image or GeoJSON, or does not fit the slide.
    """
    if Path(path).suffix.lower() in POLYGON_SUFFIXES:
        return _read_polygon_mask(path, size_level0, downsample, shape)
    mask = _read_image(path)
    height, width = mask.shape
    aspect = (width / height) / (size_level0[0] / size_level0[1])
    if abs(aspect - 1) > _LARGEST_ASPECT_DIFFERENCE:
        raise UserError(
            f"mask {path} has {width} x {height} px and the slide {size_level0[0]} x {size_level0[1]}: "
            "export the mask over the whole slide"
        )
    x, y = ((np.arange(n) + 0.5) * downsample for n in (shape[1], shape[0]))
    columns = np.minimum(x * width / size_level0[0], width - 1).astype(int)
    rows = np.minimum(y * height / size_level0[1], height - 1).astype(int)
    return mask[np.ix_(rows, columns)]


def _read_image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L")) > 0
    except FileNotFoundError:
        raise UserError(f"mask {path} does not exist: correct the sheet's column mask") from None
    except UnidentifiedImageError:
        raise UserError(f"mask {path} is not an image: write it as PNG or GeoJSON") from None


def _read_polygon_mask(
    path: Path, size_level0: tuple[int, int], downsample: float, shape: tuple[int, int]
) -> np.ndarray:
    annotations = read_polygons(path)
    points = np.concatenate([ring for annotation in annotations for polygon in annotation.polygons for ring in polygon])
    if (points.max(0) <= 0).any() or (points.min(0) >= size_level0).any():
        raise UserError(
            f"mask {path} lies outside the slide of {size_level0[0]} x {size_level0[1]} px: "
            "export it with coordinates in px of full resolution"
        )
    tissue = [each for each in annotations if each.class_name.lower() not in _NOT_TISSUE]
    not_tissue = [each for each in annotations if each.class_name.lower() in _NOT_TISSUE]
    return rasterise(tissue, downsample, shape) & ~rasterise(not_tissue, downsample, shape)
