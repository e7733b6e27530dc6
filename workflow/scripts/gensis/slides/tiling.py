"""Cut a slide into tiles: lay them out on a thumbnail, then read and encode them."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from gensis.settings.datasets import Tiling
from gensis.slides.grid import coverage, tile_origins
from gensis.slides.mask import read_mask
from gensis.slides.outcomes import COPY_AGAIN, Unusable
from gensis.slides.reader import DamagedRegion, Reader, read_every_byte
from gensis.slides.resolution import ReadPlan, Resolution, plan_reading, slide_resolution
from gensis.slides.thumbnail import Thumbnail, read_thumbnail
from gensis.slides.tissue import find_tissue

Item, Result = TypeVar("Item"), TypeVar("Result")
_ROUNDING = 1e-6
_AHEAD = 4  # tiles a thread works ahead of the writer


@dataclass(frozen=True)
class Layout:
    """Where the tiles of a slide lie."""

    resolution: Resolution
    plan: ReadPlan
    size_level0: tuple[int, int]
    """Width and height of the slide in px."""
    thumbnail: Thumbnail
    tissue: np.ndarray
    """bool (H, W), a pixel a pixel of the thumbnail."""
    tissue_method: str
    """`otsu`, `none`, or `mask` where the user gave one."""
    coords: np.ndarray
    """int64 (N, 2): x and y of each tile's top-left corner in level-0 px, row by row."""
    tissue_fraction: np.ndarray
    """float32 (N,). NaN: the tile could not be judged, since that part of the slide cannot be read."""


def lay_out(reader: Reader, tiling: Tiling, unit: str, sheet_mpp: float | None, mask: Path | None) -> Layout:
    """Find the tissue of a slide and the tiles on it.

    Args:
        reader: the slide.
        tiling: settings.
        unit: the slide's name; it seeds the choice of `tiles_per_slide`.
        sheet_mpp: um/px as the sheet states it.
        mask: image file that says what is tissue, in place of `tiling.tissue.method`.

    Raises:
        Unusable: the slide's resolution is missing, wrong or too coarse, or nothing of it can be read.
        UserError: the mask is missing or does not fit.
    """
    resolution = slide_resolution(reader.properties, sheet_mpp)
    plan = plan_reading(resolution, reader.downsamples, tiling.mpp, tiling.mpp_tolerance, tiling.tile_px)
    area_level0_um2 = resolution.mpp_x * resolution.mpp_y
    thumbnail = read_thumbnail(reader, tiling.tissue.mpp / area_level0_um2**0.5)
    size_level0 = (reader.width_level0, reader.height_level0)
    scale = thumbnail.downsample
    method = "mask" if mask else tiling.tissue.method
    unjudged = thumbnail.unread if method == "otsu" else np.zeros_like(thumbnail.unread)
    if mask:
        tissue = read_mask(mask, size_level0, scale, unjudged.shape)
    elif method == "none":
        tissue = np.ones_like(unjudged)
    else:
        tissue = find_tissue(thumbnail.image, area_level0_um2 * scale**2, tiling.tissue.minimum_area_um2)
    coords = tile_origins(
        reader.bounds_level0, reader.level_sizes[plan.level], plan.downsample, plan.width, plan.height
    )
    rectangles = (*(coords / scale).T, *(side / scale for side in plan.size_level0))
    fraction = np.where(coverage(unjudged, *rectangles) > _ROUNDING, np.nan, coverage(tissue, *rectangles))
    chosen = np.flatnonzero(~(fraction < tiling.tissue.minimum_fraction))
    if tiling.tiles_per_slide:
        chosen = _choose(chosen, tiling.tiles_per_slide, unit)
    return Layout(
        resolution, plan, size_level0, thumbnail, tissue, method, coords[chosen], fraction[chosen].astype(np.float32)
    )


def _choose(indices: np.ndarray, count: int, unit: str) -> np.ndarray:
    """At most `count` of the indices, in order; always the same ones for a unit."""
    seed = int.from_bytes(hashlib.sha256(unit.encode()).digest()[:8])
    return np.sort(np.random.default_rng(seed).permutation(indices)[:count])


class TileStream:
    """The encoded tiles of a layout, in its order, read by several threads while they are consumed."""

    def __init__(self, path: Path, layout: Layout, tiling: Tiling, encode: Callable[[np.ndarray], bytes], threads: int):
        """Prepare a stream; `encode` takes uint8 (tile_px, tile_px, 3)."""
        self.path, self.layout, self.tiling, self.encode, self.threads = path, layout, tiling, encode, threads
        self.kept: list[int] = []
        """Positions in the layout of the tiles given so far."""
        self.failed = 0
        self._of_thread = threading.local()
        self._readers: list[Reader] = []

    def __iter__(self) -> Iterator[bytes]:
        """Give the tiles that can be read.

        Raises:
            Unusable: `unreadable`, where more tiles fail than the settings allow.
            OSError: tiles fail because the disk does, which may pass.
        """
        tiles = len(self.layout.coords)
        try:
            for position, encoded in enumerate(in_order(self._encoded_tile, range(tiles), self.threads)):
                if encoded is None:
                    self.failed += 1
                else:
                    self.kept.append(position)
                    yield encoded
        finally:
            for reader in self._readers:
                reader.close()
        if self.failed:
            read_every_byte(self.path)
        if self.failed > self.tiling.max_failed_fraction * tiles:
            raise Unusable("unreadable", f"{self.failed} of {tiles} tiles cannot be read: {COPY_AGAIN}")

    def verdict(self) -> tuple[str, str]:
        """Outcome and reason, once all tiles were given. A reason is empty where nothing is amiss."""
        tissue = self.tiling.tissue
        if self.failed:
            return "partial", f"{self.failed} of {len(self.layout.coords)} tiles cannot be read: {COPY_AGAIN}"
        if not self.kept:
            return "no_tissue", (
                f"tissue is {self.layout.tissue.mean():.1%} of the slide and covers {tissue.minimum_fraction:.0%} "
                f"of no {self.tiling.tile_px} px tile: if there is tissue, draw it in a file for the sheet's "
                "column mask, lower tissue.minimum_fraction, or set tissue.method to none"
            )
        return "ok", ""

    def _encoded_tile(self, position: int) -> bytes | None:
        if np.isnan(self.layout.tissue_fraction[position]):
            return None
        plan, tile_px = self.layout.plan, self.tiling.tile_px
        x, y = self.layout.coords[position].tolist()
        try:
            return self.encode(self._reader().read(plan.level, x, y, plan.width, plan.height, (tile_px, tile_px)))
        except DamagedRegion:
            return None

    def _reader(self) -> Reader:
        if not hasattr(self._of_thread, "reader"):
            self._of_thread.reader = Reader(self.path)
            self._readers.append(self._of_thread.reader)
        return self._of_thread.reader


def in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Apply a function in several threads; results come in the items' order and few wait in memory."""
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= threads * _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
