"""Images for the cases: tiles of real slides, packed natural images, or drawn tissue where these are not available."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import count as numbers
from pathlib import Path

from side_by_side import DATA, SCRIPTS, SUBJECTS

sys.path[:0] = [str(SUBJECTS), str(SCRIPTS)]

from with_gensis import tile_one  # noqa: E402

import import_images  # noqa: E402
from gensis.images.index import write_index  # noqa: E402
from gensis.slides.drawing import draw_slide, write_pyramid  # noqa: E402

NATURAL = {"cifar10": "natural/cifar10/cifar10_jpeg.h5", "imagenette96": "natural/imagenette96/imagenette96_jpeg.h5"}
DRAWN_PX = 4096
MPP = 0.5


def make_images(source: str, side_px: int, count: int, folder: Path) -> Path:
    """Make image stores with about ``count`` images, and their index.

    Args:
        source: `slides`, or a name in NATURAL.
        side_px: side of the images; natural images already have it.
        count: number of images; for slides, whole slides are tiled until it is reached.
        folder: folder to create.

    Returns:
        Path of the index, `train.tsv` beside the stores.
    """
    folder.mkdir()
    slides = sorted((DATA / "histology").glob("lymphoma/*.tiff"))
    if source in NATURAL and (DATA / NATURAL[source]).exists():
        units = [_import(DATA / NATURAL[source], count, folder)]
    elif source == "slides" and slides:
        units = _tile(slides, side_px, count, folder)
    else:
        print(f"no {source} at {DATA}: using drawn tissue; set GENSIS_DATA to the folder of data", file=sys.stderr)
        units = _tile(_drawn(min(DRAWN_PX, 16 * side_px), folder), side_px, count, folder)
    write_index(folder / "train.tsv", units)
    return folder / "train.tsv"


def _drawn(side_px: int, folder: Path) -> Iterator[Path]:
    """Slides of drawn tissue, each drawn when it is needed."""
    for number in numbers(1):
        path = folder / f"{number}.tiff"
        write_pyramid(path, draw_slide("glandular", width_px=side_px, height_px=side_px, seed=number), MPP)
        yield path


def _tile(slides: Iterable[Path], side_px: int, count: int, folder: Path) -> list[tuple[str, int, str]]:
    """Tile one slide after the other, until there are ``count`` tiles."""
    units: list[tuple[str, int, str]] = []
    for number, slide in enumerate(slides):
        outcome = tile_one(slide, None, side_px, MPP, str(number), folder)
        units.append((str(number), outcome["images"], outcome["content"]))
        if sum(images for _, images, _ in units) >= count:
            break
    return units


def _import(packed: Path, count: int, folder: Path) -> tuple[str, int, str]:
    unit = "train-0000"
    outcome = folder / f"{unit}.json"
    import_images.main(
        argparse.Namespace(
            config={"kind": "hdf5", "path": str(packed), "max_images": {"train": count}},
            unit=unit,
            sheet=None,
            store=folder / f"{unit}.h5",
            outcome=outcome,
            started=time.time(),
        )
    )
    values = json.loads(outcome.read_text())
    return unit, values["images"], values["content"]
