"""Damage for tests."""

from collections.abc import Iterable
from pathlib import Path

import tifffile


def zero_tiles(path: Path, tiles: Iterable[int], level: int = 0) -> Path:
    """Overwrite JPEG tiles of one level of a TIFF with zeros, in place."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        places = [(page.dataoffsets[tile], page.databytecounts[tile]) for tile in tiles]
    with open(path, "r+b") as stream:
        for offset, count in places:
            stream.seek(offset)
            stream.write(bytes(count))
    return path
