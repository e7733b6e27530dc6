"""What every subject that tiles slides is told, and how it is served."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from worker import Work, serve

JPEG_QUALITY = 90


@dataclass(frozen=True)
class Slide:
    """One slide, and the grid that this pipeline lays on it."""

    path: str
    mpp: float
    """um/px at full resolution."""
    target_mpp: float
    tile_px: int
    level: int
    """Level that tiles are read from."""
    width: float
    """Of a tile, in px of that level: `tile_px`, unless tiles are resampled."""
    height: float
    coords: list[list[int]]
    """x and y of the tiles in level-0 px, row by row."""


def serve_tiling(tile: Callable[[list[Slide], Path], int]) -> None:
    """Serve a function that cuts slides into a folder and returns the number of tiles. One slide warms it up."""

    def prepare(order: dict) -> Work:
        slides = [Slide(**slide) for slide in order["slides"]]
        tile(slides[:1], Path(order["folder"]))
        return partial(tile, slides)

    serve(prepare)
