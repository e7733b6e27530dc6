"""Tiles of slides that are not tiled yet, estimated from the thumbnails and a few tiles of some slides."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from gensis.images.codec import encode_jpeg, encode_png
from gensis.settings.datasets import SlidesDataset, Tiling
from gensis.settings.units import Unit
from gensis.slides import fields
from gensis.slides.layout import Layout, lay_out
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import Unusable
from gensis.slides.reader import Reader
from gensis.slides.tiling import TileStream

SAMPLED = 20
"""Slides that are looked at, and images of a split of natural images."""
TILES = 24
"""Tiles of each of these slides that are read."""
HDF5_BYTES, SCORES_BYTES = 15_000, 52
"""Of the structure of a store, and of the position and the scores of a tile."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TileSample:
    """Means over some slides; slides without images count as slides without tiles."""

    slides: int
    tiles_per_slide: float
    bytes_per_tile: float
    bytes_per_slide: float
    """Of the thumbnail and what else a store holds beside its tiles."""
    seconds_per_slide: float
    """To open a slide and find its tiles, with one thread."""
    seconds_per_tile: float
    """To read, score and encode a tile, with one thread."""


def sample_tiles(dataset: SlidesDataset, units: Sequence[Unit], most: int = SAMPLED) -> TileSample:
    """Look at up to ``most`` slides, evenly spaced in the sheet."""
    chosen = [units[place] for place in np.linspace(0, len(units) - 1, min(most, len(units))).round().astype(int)]
    began, tiles, sizes, beside, reading = time.perf_counter(), 0, [], 0, 0.0
    for unit in chosen:
        try:
            with open_slide(Path(unit.row.path), dataset.reader) as reader:
                layout = lay_out(
                    reader,
                    dataset,
                    unit=unit.name,
                    sheet_mpp=unit.row.mpp,
                    mask=Path(unit.row.mask) if unit.row.mask else None,
                    drawn_on=dataset.drawn_on,
                )
                tiles += len(layout.kept)
                beside += sum(array.nbytes for array in fields.columns(layout, (), ()).values())
                since = time.perf_counter()
                sizes += map(len, islice(_stream(reader, layout, dataset), TILES))
                reading += time.perf_counter() - since
        except Unusable as unusable:
            log.info("%s: %s: %s", unit.name, unusable.outcome, unusable.reason)
    return TileSample(
        slides=len(chosen),
        tiles_per_slide=tiles / len(chosen),
        bytes_per_tile=SCORES_BYTES + float(np.mean(sizes)) if sizes else 0.0,
        bytes_per_slide=HDF5_BYTES + beside / len(chosen),
        seconds_per_slide=(time.perf_counter() - began - reading) / len(chosen),
        seconds_per_tile=reading / max(len(sizes), 1),
    )


def _stream(reader: Reader, layout: Layout, tiling: Tiling) -> TileStream:
    encode = encode_png
    if tiling.encoding != "png":
        encode = partial(encode_jpeg, quality=tiling.jpeg_quality, subsampling=layout.chroma)
    return TileStream(reader, layout, tiling=tiling, encode=encode, threads=1)
