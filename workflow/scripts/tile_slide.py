"""Tile one slide: write the encoded tiles to <unit>.h5 and the slide's outcome to <unit>.json."""

import argparse
import hashlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gensis.artifacts.files import content_id, write_json
from gensis.artifacts.provenance import provenance, to_attribute
from gensis.command import parser, run
from gensis.images.codec import encode_jpeg, encode_png
from gensis.images.store import FORMAT as STORE_FORMAT
from gensis.images.store import write_store
from gensis.progress import progress
from gensis.settings.datasets import Tiling
from gensis.slides import fields
from gensis.slides.layout import Layout, lay_out
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import FORMAT, Unusable
from gensis.slides.reader import ABSENT, absent
from gensis.slides.slide_files import identifying_files
from gensis.slides.tiling import TileStream

HEAD_BYTES = 1 << 16

log = logging.getLogger("tile_slide")


def main(arguments: argparse.Namespace) -> None:
    """Tile the slide. A slide without images gives an empty store and a reason, and the job succeeds."""
    tiling = Tiling.model_validate(arguments.config)
    layout = stream = None
    try:
        with open_slide(arguments.slide, tiling.reader) as reader:
            layout = lay_out(
                reader,
                tiling,
                unit=arguments.unit,
                sheet_mpp=arguments.mpp,
                mask=arguments.mask,
                drawn_on=arguments.drawn_on,
            )
            stream = TileStream(reader, layout, tiling=tiling, encode=codec(tiling, layout), threads=arguments.threads)
            images, content = store(arguments, tiling, layout, stream)
        outcome, reason = stream.verdict()
    except Unusable as unusable:
        images, content = store(arguments, tiling, layout, None)
        outcome, reason = unusable.outcome, unusable.reason
    values: dict[str, Any] = {
        "format": FORMAT,
        "unit": arguments.unit,
        "outcome": outcome,
        "images": images,
        "failed": stream.failed if stream else 0,
        "reason": reason,
        "content": content,
        "seconds": round(time.time() - arguments.started, 2),
    }
    write_json(arguments.outcome, values)
    read_with = f" with the reader {layout.reader}" if layout else ""
    log.info("%s: %s, %d tiles%s. %s", arguments.unit, outcome, images, read_with, reason)


def codec(tiling: Tiling, layout: Layout) -> Callable[[np.ndarray], bytes]:
    """Encoder of tiles, from the settings. JPEG uses the chroma subsampling of the slide."""
    if tiling.encoding == "png":
        return encode_png
    return partial(encode_jpeg, quality=tiling.jpeg_quality, subsampling=layout.chroma)


def store(
    arguments: argparse.Namespace, tiling: Tiling, layout: Layout | None, stream: TileStream | None
) -> tuple[int, str]:
    """Write the store, empty if there is no stream of tiles. Returns the number of images and the content id."""
    inputs = {}
    with suppress(PermissionError):  # reported as the slide's outcome
        inputs["slide"] = head_id(*identifying_files(arguments.slide))
    if arguments.mask:
        with suppress(*ABSENT, PermissionError):  # reported as the slide's outcome
            inputs["mask"] = content_id(arguments.mask)

    def attributes() -> dict[str, Any]:
        record = provenance(
            STORE_FORMAT, settings=arguments.config, inputs=inputs, seed=None, device="cpu", started=arguments.started
        )
        own = {"unit": arguments.unit, "provenance": to_attribute(record)}
        return fields.file_attributes(tiling, layout) | own

    def columns() -> dict[str, np.ndarray]:
        return fields.columns(layout, stream.given, stream.focus) if stream else fields.columns(layout, (), ())

    return write_store(
        arguments.store,
        progress(stream, len(layout.kept), "tiles") if stream else (),
        attributes,
        columns=columns,
        column_attributes=fields.column_attributes(tiling, layout),
    )


def head_id(*files: Path) -> str:
    """SHA-256 of the size and first 64 KiB of each file: identifies a slide without reading gigabytes twice."""
    digest = hashlib.sha256()
    for path in files:
        try:
            with open(path, "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                digest.update(f"{size}:".encode() + stream.read(HEAD_BYTES))
        except ABSENT as error:  # it existed when it was opened
            raise absent(path, error) from None
    return digest.hexdigest()[:16]


def argument_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    result = parser(__doc__)
    result.add_argument("--slide", type=Path, required=True)
    result.add_argument("--mpp", type=float, help="um/px at full resolution; overrides the file")
    result.add_argument("--mask", type=Path, help="tissue mask: an image of the whole slide, or GeoJSON")
    result.add_argument("--drawn-on", choices=("slide", "bounds"), default="slide", help="what the mask covers")
    result.add_argument("--unit", required=True, help="the slide's name")
    result.add_argument("--store", type=Path, required=True, help="<unit>.h5 to write")
    result.add_argument("--outcome", type=Path, required=True, help="<unit>.json to write")
    return result


if __name__ == "__main__":
    run(main, argument_parser().parse_args())
