"""Functions that damage files for tests."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom in px of a level."""


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


def overwrite(path: Path, begin: int, length: int, filling: str, seed: int = 0) -> Path:
    """Overwrite bytes of a file in place with `zeros`, `ones` (0xff) or `random` ones."""
    garbage = {
        "zeros": bytes(length),
        "ones": b"\xff" * length,
        "random": np.random.default_rng(seed).bytes(length),
    }[filling]
    with open(path, "r+b") as stream:
        stream.seek(begin)
        stream.write(garbage)
    return path


def middle_of_data(path: Path, length: int, level: int = 0) -> int:
    """Start of `length` bytes in the middle of the tiles of one level of a TIFF."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts)]
        assert max(ends) - min(page.dataoffsets) > length, "there is less data"
        return (max(ends) + min(page.dataoffsets) - length) // 2


def hit(path: Path, begin: int, length: int, level: int = 0) -> list[Rectangle]:
    """The tiles or strips of one level of a TIFF that overlap a part of the file by at least one byte."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        width, height = page.chunks[1], page.chunks[0]
        columns = -(-page.imagewidth // width)
        found = [
            number
            for number, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts))
            if offset < begin + length and begin < offset + count
        ]
    corners = [(number % columns * width, number // columns * height) for number in found]
    return [(x, y, x + width, y + height) for x, y in corners]


def touches(first: Rectangle, others: Iterable[Rectangle]) -> bool:
    """Whether a rectangle overlaps one of the others."""
    return any(
        first[0] < other[2] and other[0] < first[2] and first[1] < other[3] and other[1] < first[3] for other in others
    )
