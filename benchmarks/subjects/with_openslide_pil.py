"""The common loop: `read_region`, RGB, JPEG by Pillow, all tiles of a slide in one file."""

from pathlib import Path

from slides import JPEG_QUALITY, Slide, serve_tiling
from with_openslide import images


def tile(slides: list[Slide], folder: Path) -> int:
    """Write the tiles of each slide end to end into one file, instead of one file per tile."""
    tiles = 0
    for number, slide in enumerate(slides):
        with open(folder / f"{number}.jpegs", "wb") as stream:
            for image in images(slide):
                image.save(stream, "JPEG", quality=JPEG_QUALITY)
                tiles += 1
    return tiles


if __name__ == "__main__":
    serve_tiling(tile)
