"""Memory and time of tiling a huge slide that is mostly glass, and a slide with twice the tissue. See README.md.

The slides are sparse pyramids of 100,000 x 100,000 px: islands of drawn tissue; the file does not hold other tiles.
"""

import argparse
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from gensis.slides.drawing import draw_slide  # noqa: E402

TILE_PX = 256
ISLAND_PX = 1024
SPACING_PX = 2048
"""Step of the grid of islands: at full resolution and at a quarter of it, islands are whole tiles."""
WHOLE_FROM = 16
"""Levels with this downsampling factor or more hold all their tiles."""
MPP = 0.5
SPAWN = multiprocessing.get_context("spawn")


def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line per slide, then the ratios of the slide with twice the tissue to the other."""
    lines = []
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        for islands in (arguments.islands, 2 * arguments.islands):
            slide = Path(name) / f"{islands}.tiff"
            # In a process of its own, because a child's peak memory includes the memory of its parent when it started.
            writer = SPAWN.Process(target=write, args=(slide, arguments.side_px, islands))
            writer.start()
            writer.join()
            if writer.exitcode:
                sys.exit(f"error: writing the slide with {islands} islands failed: see the traceback above")
            line = measure(slide, arguments.threads)
            line |= {"side_px": arguments.side_px, "islands": islands, "slide_mb": slide.stat().st_size >> 20}
            print(json.dumps(line), flush=True)
            lines.append(line)
    for measured in ("n", "seconds", "cpu_seconds"):
        print(f"ratio memory twice-the-tissue/{measured} {lines[1][measured] / lines[0][measured]:.2f}")


def measure(slide: Path, threads: int) -> dict[str, Any]:
    """Run the rule's script on a slide; returns seconds, tiles and the peak memory of its process."""
    store, outcome = slide.with_suffix(".h5"), slide.with_suffix(".json")
    command = [sys.executable, str(SCRIPTS / "tile_slide.py"), "--slide", str(slide), "--unit", slide.stem]
    command += ["--store", str(store), "--outcome", str(outcome), "--threads", str(threads)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"error: tile_slide.py failed on {slide} with exit status {os.waitstatus_to_exitcode(status)}")
    result = json.loads(outcome.read_text())
    return {
        "outcome": result["outcome"],
        "n": result["images"],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "rate": round(result["images"] / seconds, 1),
        "unit": "tiles/s",
        "peak_mb": usage.ru_maxrss >> 10,
        "store_mb": store.stat().st_size >> 20,
    }


def write(path: Path, side_px: int, islands: int) -> None:
    """Write the slide. Each level has a quarter of the side of the one before; tiles without tissue are absent from
    levels finer than WHOLE_FROM."""
    tissue = draw_slide("lymphoid", width_px=ISLAND_PX, height_px=ISLAND_PX, seed=0)
    places = np.indices((max(side_px // SPACING_PX, 1),) * 2).reshape(2, -1).T * SPACING_PX
    if islands > len(places):
        sys.exit(f"error: a slide of {side_px} px has room for {len(places)} islands: lower --islands")
    places = np.random.default_rng(0).permutation(places)[:islands]
    options = {"tile": (TILE_PX, TILE_PX), "compression": "jpeg", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        factor = 1
        while factor == 1 or side_px // factor >= TILE_PX:
            side, level = side_px // factor, shrunk(tissue, factor)
            resolution = {"resolution": (1e4 / MPP / factor,) * 2, "resolutionunit": "CENTIMETER"}
            options |= resolution | {"subfiletype": int(factor > 1)}
            if factor < WHOLE_FROM:
                stream = sparse_tiles(level, places // factor // TILE_PX, side)
                sampling = {"photometric": "ycbcr", "subsampling": (2, 2)}
                tiff.write(stream, shape=(side, side, 3), dtype=np.uint8, **options, **sampling)
            else:
                whole = np.full((side, side, 3), 243, np.uint8)
                for y, x in places // factor:
                    whole[y : y + len(level), x : x + len(level)] = level[: side - y, : side - x]
                tiff.write(whole, photometric="rgb", **options)
            factor *= 4


def shrunk(image: np.ndarray, factor: int) -> np.ndarray:
    """Means over squares of `factor` px: uint8 (H / factor, W / factor, 3)."""
    height, width = (side // factor for side in image.shape[:2])
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return squares.mean((1, 3)).round().astype("uint8")


def sparse_tiles(island: np.ndarray, places: np.ndarray, side_px: int) -> Iterator[bytes]:
    """JPEGs of a level's tiles, row by row; empty where there is no island.

    Args:
        island: uint8 (H, W, 3), with sides that are multiples of a tile.
        places: int (N, 2), row and column of the tile at each island's upper left corner.
        side_px: side of the level.
    """
    encoded = {}
    for row in range(len(island) // TILE_PX):
        for column in range(len(island) // TILE_PX):
            stream = io.BytesIO()
            tile = island[row * TILE_PX :, column * TILE_PX :][:TILE_PX, :TILE_PX]
            Image.fromarray(tile).save(stream, "JPEG", quality=88)
            encoded[row, column] = stream.getvalue()
    held = {(y + row, x + column): jpeg for y, x in places.tolist() for (row, column), jpeg in encoded.items()}
    across = -(-side_px // TILE_PX)
    for row in range(across):
        for column in range(across):
            yield held.get((row, column), b"")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-px", type=int, default=100_000)
    parser.add_argument("--islands", type=int, default=600, help="pieces of tissue of about half a millimetre")
    parser.add_argument("--threads", type=int, default=2)
    main(parser.parse_args())
