"""Tiling of a slide: read, score and encode the tiles that its layout keeps."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gensis.settings.datasets import Tiling
from gensis.slides.layout import PEN, Layout
from gensis.slides.outcomes import COPY_AGAIN
from gensis.slides.quality import focus
from gensis.slides.reader import DamagedRegion, Reader, read_every_byte, resample
from gensis.slides.units import Mpp

Item, Result = TypeVar("Item"), TypeVar("Result")
_RUN_BYTES = 1 << 22  # pixels that a thread reads at once
_AHEAD = 4  # runs that each thread may be ahead of the writer


@dataclass(frozen=True)
class Tile:
    """One tile of a slide."""

    encoded: bytes
    focus: float


class TileStream:
    """The encoded tiles that a layout keeps, in order, read by several threads while they are consumed."""

    def __init__(
        self, reader: Reader, layout: Layout, *, tiling: Tiling, encode: Callable[[np.ndarray], bytes], threads: int
    ):
        """Prepare a stream.

        Args:
            reader: the slide.
            layout: of the tiles.
            tiling: settings.
            encode: encodes uint8 (tile_px, tile_px, 3), unless the slide's own encoded tiles are kept.
            threads: number of threads that read, score and encode.
        """
        self.reader, self.layout, self.tiling, self.encode, self.threads = reader, layout, tiling, encode, threads
        plan = layout.plan
        self._stride = plan.stride
        self._corners = np.rint(layout.coords / plan.downsample).astype(np.int64)
        self._mpp = Mpp(layout.resolution.mpp_x * plan.size_level0[0] / tiling.tile_px)
        self.given: list[int] = []
        """Positions in the layout of the tiles yielded so far."""
        self.focus: list[float] = []
        """Focus scores of these tiles."""
        self.unreadable: list[int] = []
        """Positions of tiles that should be kept but cannot be read."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the tiles that can be read.

        Raises:
            OSError: tiles cannot be read because of an I/O error, possibly temporary.
        """
        runs = self._runs()
        for run, tiles in zip(runs, in_order(self._read_run, runs, self.threads)):
            for position, tile in zip(run, tiles):
                if tile is None:
                    self.unreadable.append(position)
                else:
                    self.given.append(position)
                    self.focus.append(tile.focus)
                    yield tile.encoded
        if self.failed:
            read_every_byte(self.reader.path)

    @property
    def failed(self) -> int:
        """Number of tiles that cannot be read, on the thumbnail or at full resolution."""
        return self.layout.failed + len(self.unreadable)

    @property
    def _wanted(self) -> int:
        return self.layout.failed + len(self.layout.kept)

    def verdict(self) -> tuple[str, str]:
        """Outcome and reason, after all tiles were yielded. The reason is empty if there is nothing to report."""
        if self.failed:
            failed = f"{self.failed} of {self._wanted} tiles cannot be read: {COPY_AGAIN}"
            outcome = "partial" if self.given else "unreadable"
            return outcome, "; ".join(filter(None, (failed, self.layout.remark)))
        if not self.given:
            return "no_tissue", self._why_no_tissue()
        return "ok", self.layout.remark

    def _why_no_tissue(self) -> str:
        tissue, inked = self.tiling.tissue, int((self.layout.status == PEN).sum())
        ink = f" ({inked} tiles have marker ink, or a blue or green stain that looks like ink)" if inked else ""
        return (
            f"tissue is {self.layout.tissue.mean():.1%} of the slide, and no {self.tiling.tile_px} px tile has "
            f"{tissue.minimum_fraction:.0%} tissue or more{ink}: if there is tissue, draw it in a file for the sheet's "
            "column mask, lower tissue.minimum_fraction, or set tissue.method to none"
        )

    def _runs(self) -> list[list[int]]:
        """Groups of adjacent tiles in a row, which are read together."""
        longest = max(1, _RUN_BYTES // (3 * self._stride[0] * self._stride[1]))
        runs: list[list[int]] = []
        for position in self.layout.kept.tolist():
            if runs and len(runs[-1]) < longest:
                dx, dy = self._corners[position] - self._corners[runs[-1][-1]]
                if dy == 0 and dx == self._stride[0]:
                    runs[-1].append(position)
                    continue
            runs.append([position])
        return runs

    def _read_run(self, run: list[int]) -> list[Tile | None]:
        width, height = self._stride
        x, y = self._corners[run[0]].tolist()
        try:
            pixels = self.reader.region(self.layout.plan.level, x=x, y=y, width=width * len(run), height=height)
            return [self._tile(at, pixels[:, n * width : (n + 1) * width]) for n, at in enumerate(run)]
        except DamagedRegion:  # read the tiles one by one
            return [None] if len(run) == 1 else [tile for at in run for tile in self._read_run([at])]

    def _tile(self, position: int, region: np.ndarray) -> Tile:
        plan, side = self.layout.plan, self.tiling.tile_px
        pixels = np.ascontiguousarray(resample(region, (0, 0, plan.width, plan.height), (side, side)))
        x, y = self._corners[position].tolist()
        native = self.layout.encoding == "native"
        encoded = self.reader.jpeg_tile(plan.level, x, y) if native else self.encode(pixels)
        return Tile(encoded, focus(pixels, mpp=self._mpp, focus_mpp=Mpp(self.tiling.focus_mpp)))


def in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Apply a function in several threads; results are yielded in order, and only a few wait in memory."""
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= threads * _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
