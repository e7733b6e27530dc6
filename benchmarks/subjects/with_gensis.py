"""This pipeline: the rule `tile_slide` on each slide, from opening the slide to its store synced to disk."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from slides import JPEG_QUALITY, Slide, serve_tiling

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))

import tile_slide


def tile_one(path: Path, mpp: float | None, tile_px: int, target_mpp: float, unit: str, folder: Path) -> dict[str, Any]:
    """Run the rule on one slide with one thread. Returns its outcome; the store is `<unit>.h5` in the folder."""
    outcome = folder / f"{unit}.json"
    tile_slide.main(
        argparse.Namespace(
            config={"tile_px": tile_px, "mpp": target_mpp, "jpeg_quality": JPEG_QUALITY},
            slide=path,
            mpp=mpp,
            mask=None,
            drawn_on="slide",
            unit=unit,
            store=folder / f"{unit}.h5",
            outcome=outcome,
            threads=1,
            started=time.time(),
        )
    )
    return json.loads(outcome.read_text())


def tile(slides: list[Slide], folder: Path) -> int:
    """Tile each slide into its store."""
    return sum(
        tile_one(Path(slide.path), slide.mpp, slide.tile_px, slide.target_mpp, str(number), folder)["images"]
        for number, slide in enumerate(slides)
    )


if __name__ == "__main__":
    serve_tiling(tile)
