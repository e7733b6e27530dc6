"""Tissue masks provided by the user: an image of the whole slide, or polygons."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from tifffile import PHOTOMETRIC, PLANARCONFIG, TiffFile, TiffPage, TiffPageSeries

from gensis.errors import UserError
from gensis.slides.geojson import rasterise, read_polygons
from gensis.slides.outcomes import Unusable
from gensis.slides.reader import ABSENT, TIFF_HEADS, read_every_byte
from gensis.slides.tiff_pages import is_smaller_version
from gensis.slides.units import BoundsLevel0, Downsample

POLYGON_SUFFIXES = (".geojson", ".json")
# Areas of these classes are removed from the others (QuPath marks ignored classes with a star).
IGNORED_CLASSES = frozenset({"ignore", "ignore*"})
_NOT_TISSUE = IGNORED_CLASSES | {"background"}
_LARGEST_ASPECT_DIFFERENCE = 0.02
_LARGEST_HELD_BYTES = 1 << 30  # of decoded pixels at once: a whole PNG, or one tile of a TIFF
_TOLERANCE = 1.05  # a slightly coarser level is accepted, since halving rarely gives whole pixels
_DECODERS = 2
_ONE_BYTE_MODES = ("1", "L", "P")


def read_mask(path: Path, area_level0: BoundsLevel0, downsample: Downsample, shape: tuple[int, int]) -> np.ndarray:
    """Read a mask of a slide, or of an area of it, and resample it to the shape of a thumbnail of the whole slide.

    Args:
        path: an image file, in which all pixels that are not black are tissue; or GeoJSON, in which polygons are
            tissue, except those of the classes Ignore, Ignore* and Background, which are removed from the others. TIFFs
            are read tile by tile (or strip by strip), from the pyramid level that the thumbnail needs.
        area_level0: left, top, right and bottom of the area that the mask covers, in level-0 px of the slide; the rest
            is not tissue.
        downsample: level-0 px per px of the thumbnail.
        shape: height and width of the thumbnail.

    Returns:
        bool `shape`.

    Raises:
        Unusable: `wrong_mask`: the file is missing, is not an image or GeoJSON, is damaged, or does not fit the slide.
        OSError: an I/O error, possibly temporary.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in POLYGON_SUFFIXES:
            return _read_polygon_mask(path, area_level0, downsample, shape)
        with open(path, "rb") as stream:
            head = stream.read(4)
        read = _read_tiff if head in TIFF_HEADS else _read_picture
        return read(path, area_level0, downsample, shape) & _overlapping(area_level0, downsample, shape)
    except (Unusable, MemoryError):
        raise
    except (*ABSENT, PermissionError) as error:
        repair = "correct the sheet's column mask"
        raise Unusable("wrong_mask", f"mask {path} cannot be opened ({error.strerror}): {repair}") from None
    except UserError as error:  # invalid polygons; the message names the file
        raise Unusable("wrong_mask", f"mask {error}") from None
    except Exception as error:  # a damaged file may raise anything
        read_every_byte(path)
        repair = "copy it again, or save it again as PNG, TIFF or GeoJSON"
        raise Unusable("wrong_mask", f"mask {path} is damaged or not an image ({error}): {repair}") from error


def _places(
    path: Path, *, size: tuple[int, int], area_level0: BoundsLevel0, downsample: Downsample, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the mask (of width and height `size`) at the centres of the thumbnail's pixels.

    For pixels outside the area, those at its edge.
    """
    (width, height), (left, top, right, bottom) = size, area_level0
    if abs((width / height) / ((right - left) / (bottom - top)) - 1) > _LARGEST_ASPECT_DIFFERENCE:
        raise Unusable(
            "wrong_mask",
            f"mask {path} ({width} x {height} px) has another aspect ratio than what it should cover "
            f"({right - left} x {bottom - top} px): export a mask of the whole slide, or set drawn_on",
        )
    x, y = _centres(downsample, shape)
    columns = np.clip((x - left) * width / (right - left), 0, width - 1).astype(int)
    return columns, np.clip((y - top) * height / (bottom - top), 0, height - 1).astype(int)


def _centres(downsample: Downsample, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x of the thumbnail's columns and y of its rows, in level-0 px."""
    height, width = shape
    return (np.arange(width) + 0.5) * downsample, (np.arange(height) + 0.5) * downsample


def _overlapping(area_level0: BoundsLevel0, downsample: Downsample, shape: tuple[int, int]) -> np.ndarray:
    """Which pixels of the thumbnail overlap an area: bool `shape`. All overlap the whole slide."""
    (left, top, right, bottom), (x, y), half = area_level0, _centres(downsample, shape), downsample / 2
    return ((y > top - half) & (y < bottom + half))[:, None] & (x > left - half) & (x < right + half)


def _read_picture(path: Path, area_level0: BoundsLevel0, downsample: Downsample, shape: tuple[int, int]) -> np.ndarray:
    """Read a mask from a PNG or another format that is decoded as a whole."""
    with _of_any_size(), Image.open(path) as image:
        columns, rows = _places(path, size=image.size, area_level0=area_level0, downsample=downsample, shape=shape)
        largest_px = _LARGEST_HELD_BYTES // (1 if image.mode in _ONE_BYTE_MODES else 4)
        if image.width * image.height > largest_px:
            raise Unusable(
                "wrong_mask",
                f"mask {path} has {image.width} x {image.height} px, but {image.format} is decoded as a whole, up to "
                f"{largest_px >> 20} megapixels in this mode: save it as a tiled TIFF, or smaller",
            )
        return np.stack([_is_tissue(image.crop((0, y, image.width, y + 1)))[columns] for y in rows.tolist()])


@contextmanager
def _of_any_size() -> Iterator[None]:
    """Pillow refuses more than 179 megapixels, which masks at full resolution have."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _is_tissue(line: Image.Image) -> np.ndarray:
    """Which pixels of an image one pixel high are not black: bool (W,)."""
    is_grey = line.mode in ("1", "L") or line.mode.startswith(("I", "F"))
    pixels = np.asarray(line if is_grey else line.convert("RGB"))[0]
    return pixels > 0 if is_grey else pixels.any(-1)


def _read_tiff(path: Path, area_level0: BoundsLevel0, downsample: Downsample, shape: tuple[int, int]) -> np.ndarray:
    with TiffFile(path) as file:
        levels = [_only_page(path, level) for series in file.series for level in series.levels]
        finest = max(levels, key=lambda page: page.imagewidth * page.imagelength)
        least_width = (area_level0[2] - area_level0[0]) / (downsample * _TOLERANCE)
        fine = [page for page in levels if page.imagewidth >= least_width and is_smaller_version(page, finest)]
        page = min(fine, key=lambda page: page.imagewidth, default=finest)
        columns, rows = _places(
            path, size=(page.imagewidth, page.imagelength), area_level0=area_level0, downsample=downsample, shape=shape
        )
        return _sample(page, columns, rows)


def _only_page(path: Path, level: TiffPageSeries) -> TiffPage:
    """The page of a level of a mask.

    Raises:
        UserError: it has several pages, or its colours are in separate planes: one alone would be another mask.
    """
    page = level.keyframe
    if len(level.pages) > 1 or (page.samplesperpixel > 1 and page.planarconfig != PLANARCONFIG.CONTIG):
        raise UserError(f"{path} has its colours in separate pages or planes: save it as one page of grey or RGB")
    return page


def _sample(page: TiffPage, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether a page is not black at some columns and rows, both ascending: bool (len(rows), len(columns))."""
    file = page.parent.filehandle
    places = zip(page.dataoffsets, page.databytecounts)
    if any(offset + count > file.size for offset, count in places):  # otherwise read as missing tiles
        raise ValueError("it is truncated")
    if page.is_memmappable:
        pixels = file.memmap_array(page.parent.byteorder + page.dtype.char, page.shaped, page.dataoffsets[0])
        return _is_not_black(page, pixels[0, 0][np.ix_(rows, columns)])
    if int(np.prod(page.chunks)) * page.dtype.itemsize > _LARGEST_HELD_BYTES:
        raise ValueError(f"its tiles of {page.chunks[1]} x {page.chunks[0]} px do not fit in memory")
    result = np.zeros((len(rows), len(columns)), bool)
    for pixels, (_, _, top, left, _), _ in page.segments(maxworkers=_DECODERS):
        if pixels is not None:  # None for missing tiles
            height, width = pixels.shape[1:3]
            across = slice(*np.searchsorted(columns, (left, left + width)))
            down = slice(*np.searchsorted(rows, (top, top + height)))
            some = pixels[0][np.ix_(rows[down] - top, columns[across] - left)]
            result[down, across] |= _is_not_black(page, some)
    return result


def _is_not_black(page: TiffPage, pixels: np.ndarray) -> np.ndarray:
    """Which pixels (H, W, channels), as stored in the page, are not black: bool (H, W)."""
    if page.photometric == PHOTOMETRIC.PALETTE:
        return page.colormap.any(0)[pixels[..., 0]]
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        return pixels[..., 0] < 2**page.bitspersample - 1
    colours = 3 if page.samplesperpixel > 2 else 1  # without alpha
    return (pixels[..., :colours] > 0).any(-1)


def _read_polygon_mask(
    path: Path, area_level0: BoundsLevel0, downsample: Downsample, shape: tuple[int, int]
) -> np.ndarray:
    left, top, right, bottom = area_level0
    annotations = read_polygons(path)
    points = np.concatenate([ring for annotation in annotations for polygon in annotation.polygons for ring in polygon])
    if (points.max(0) <= 0).any() or (points.min(0) >= (right - left, bottom - top)).any():
        raise UserError(
            f"{path} is outside the {right - left} x {bottom - top} px that it should cover: "
            "export it with coordinates in px at full resolution"
        )
    tissue = [each for each in annotations if each.class_name.lower() not in _NOT_TISSUE]
    not_tissue = [each for each in annotations if each.class_name.lower() in _NOT_TISSUE]
    origin = (-left, -top)  # of the thumbnail, in coordinates of the polygons
    return rasterise(tissue, downsample, shape, origin) & ~rasterise(not_tissue, downsample, shape, origin)
