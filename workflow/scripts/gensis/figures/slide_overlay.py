"""Draw the tiles and the tissue outline of a slide over its thumbnail, for all images of slides."""

import numpy as np
from PIL import Image

from gensis.figures.slide_view import Grid, SlideView
from gensis.figures.tile_status import TILE_STATUSES

TISSUE_LINE = (24, 24, 60)
MAX_ENLARGEMENT = 16
_NOTHING = 255
_SMALLEST_OUTLINED_PX = 6
_WIDE_LINE_TILE_PX = 28
_WIDE_LINE_PICTURE_PX = 700


def scale_to_fit(size: tuple[int, int], box: tuple[int, int]) -> float:
    """Scale, in overlay px per thumbnail px, that fits a thumbnail into a box."""
    return min(box[0] / size[0], box[1] / size[1], MAX_ENLARGEMENT)


def draw_overlay(view: SlideView, box: tuple[int, int]) -> Image.Image:
    """The slide with each tile in the colour of its status, within a box of width and height in px."""
    scale = scale_to_fit(view.thumbnail.size, box)
    width, height = (max(round(side * scale), 1) for side in view.thumbnail.size)
    slide = view.thumbnail.resize((width, height), Image.Resampling.BICUBIC)
    px_per_level0 = scale / view.downsample
    line_px = outline_px(view.grid, px_per_level0)
    cells = Image.fromarray(draw_tiles(view.grid, px_per_level0, (height, width), line_px))
    drawn = Image.composite(_colours(cells), slide, _opacity(cells, outlined=line_px > 0))
    if view.tissue:
        line = _outline(view.tissue.resize((width, height), Image.Resampling.BOX))
        drawn.paste(TISSUE_LINE, (0, 0), Image.fromarray(line))
    return drawn


def outline_px(grid: Grid, px_per_level0: float) -> int:
    """Width of the outline of a tile: 0 where it would hide the tile."""
    smallest_px = min(grid.width_level0, grid.height_level0) * px_per_level0
    return 0 if smallest_px < _SMALLEST_OUTLINED_PX else 1 if smallest_px < _WIDE_LINE_TILE_PX else 2


def draw_tiles(grid: Grid, px_per_level0: float, shape: tuple[int, int], line_px: int) -> np.ndarray:
    """The status that each px of an image shows.

    Args:
        grid: the tiles.
        px_per_level0: scale of the image.
        shape: height and width of the image.
        line_px: width of the outlines.

    Returns:
        uint8 (H, W): twice the index of the status, plus one on the outline of a tile; 255 where there is no tile. A
        tile takes at least one px, and adjacent tiles share none.
    """
    cells = np.full(shape, _NOTHING, np.uint8)
    size_level0 = np.array([grid.width_level0, grid.height_level0])
    near = np.rint(grid.coords_level0 * px_per_level0).astype(np.int64)
    near = np.minimum(near, np.array(shape[::-1]) - 1)
    far = np.maximum(np.rint((grid.coords_level0 + size_level0) * px_per_level0).astype(np.int64), near + 1)
    # Kept tiles are drawn last, so that they are visible where tiles are smaller than a px.
    order = np.argsort(grid.statuses, kind="stable")[::-1]
    boxes = np.concatenate([near, far, grid.statuses[:, None].astype(np.int64) * 2], axis=1)[order].tolist()
    for left, top, right, bottom, value in boxes:
        if line_px:
            cells[top:bottom, left:right] = value + 1
        cells[top + line_px : bottom - line_px, left + line_px : right - line_px] = value
    return cells


def _colours(cells: Image.Image) -> Image.Image:
    """The cells' colours, RGB."""
    palette = [value for status in TILE_STATUSES.values() for value in status.colour * 2]
    indexed = cells.copy()
    indexed.putpalette(palette)
    return indexed.convert("RGB")


def _opacity(cells: Image.Image, outlined: bool) -> Image.Image:
    """The cells' opacity, mode L: 0 where there is no tile."""
    table = [0] * 256
    for position, status in enumerate(TILE_STATUSES.values()):
        area = status.fill if outlined else status.solid
        table[2 * position : 2 * position + 2] = round(area * 255), round(status.line * 255)
    return cells.point(table)


def _outline(tissue: Image.Image) -> np.ndarray:
    """uint8 (H, W), 255 on the tissue px along its border."""
    inside = np.asarray(tissue) >= 128
    core = inside
    for _ in range(2 if max(inside.shape) >= _WIDE_LINE_PICTURE_PX else 1):
        core = _eroded(core)
    return (inside & ~core).astype(np.uint8) * 255


def _eroded(mask: np.ndarray) -> np.ndarray:
    """A mask without the px that share an edge with one outside; beyond the image all counts as inside."""
    core = mask.copy()
    core[1:] &= mask[:-1]
    core[:-1] &= mask[1:]
    core[:, 1:] &= mask[:, :-1]
    core[:, :-1] &= mask[:, 1:]
    return core
