"""Raw OpenSlide: `read_region` over this pipeline's grid, converted to RGB; writes nothing."""

import math
from collections.abc import Iterator
from pathlib import Path

from openslide import OpenSlide
from PIL import Image
from slides import Slide, serve_tiling


def images(slide: Slide) -> Iterator[Image.Image]:
    """The tiles in RGB, one after the other."""
    size, tile_size = (math.ceil(slide.width), math.ceil(slide.height)), (slide.tile_px, slide.tile_px)
    with OpenSlide(slide.path) as source:
        for x, y in slide.coords:
            image = source.read_region((x, y), slide.level, size).convert("RGB")
            if (slide.width, slide.height) != tile_size:
                image = image.resize(tile_size, Image.Resampling.LANCZOS, box=(0, 0, slide.width, slide.height))
            yield image


def tile(slides: list[Slide], folder: Path) -> int:
    """Read each tile and discard it."""
    return sum(1 for slide in slides for _ in images(slide))


if __name__ == "__main__":
    serve_tiling(tile)
