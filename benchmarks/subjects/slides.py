"""Input of the subjects that tile slides, and how they are served."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from worker import Work, serve

JPEG_QUALITY = 90


@dataclass(frozen=True)
class Slide:
    """One slide, and the grid that this pipeline uses for it."""

    path: str
    mpp: float
    """um/px at full resolution."""
    target_mpp: float
    tile_px: int
    level: int
    """Pyramid level that tiles are read from."""
    width: float
    """Width of a tile in px of that level: `tile_px`, unless tiles are resampled."""
    height: float
    """Height of a tile in px of that level."""
    coords: list[list[int]]
    """x and y of the tiles in level-0 px, row by row."""


def serve_tiling(tile: Callable[[list[Slide], Path], int]) -> None:
    """Serve a function that tiles slides into a folder and returns the number of tiles. One slide is the warm-up."""

    def prepare(order: dict) -> Work:
        slides = [Slide(**slide) for slide in order["slides"]]
        tile(slides[:1], Path(order["folder"]))
        return partial(tile, slides)

    serve(prepare)
