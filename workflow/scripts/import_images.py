"""Import one shard of natural images into the image store."""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from gensis import command
from gensis.artifacts.files import write_json
from gensis.artifacts.provenance import provenance, to_attribute
from gensis.images.importing import Imported
from gensis.images.sources import open_source, selection
from gensis.images.store import FORMAT, write_store
from gensis.progress import progress
from gensis.settings.datasets import Dataset
from gensis.settings.sheet import read_sheet
from gensis.settings.stages import images_json

log = logging.getLogger("import_images")


def main(arguments: argparse.Namespace) -> None:
    """Write `<unit>.h5` and `<unit>.json`."""
    dataset = TypeAdapter(Dataset).validate_python(arguments.config)
    split, _, shard = arguments.unit.rpartition("-")
    # A file that vanished since planning is a failed image, not the end of every shard.
    rows = read_sheet(arguments.sheet, "files", dataset.columns, None, folder=dataset.folder) if arguments.sheet else ()
    source = open_source(dataset, split, rows)
    chosen = selection(len(source.keys), dataset, split)
    first, last = (len(chosen) * number // dataset.shards for number in (int(shard), int(shard) + 1))
    imported = Imported()

    def attributes() -> dict[str, str]:
        record = provenance(
            FORMAT,
            settings=json.loads(images_json(dataset)),
            inputs={},
            seed=None,
            device="cpu",
            started=arguments.started,
        )
        return {"unit": arguments.unit, "provenance": to_attribute(record)}

    images, content = write_store(
        arguments.store,
        imported.images(source, progress(chosen[first:last], last - first, "images"), dataset),
        attributes,
        columns=lambda: {"key": np.array(imported.keys, object)},
    )
    failed = len(imported.failed)
    if imported.several_frames:
        log.warning("%d images have several frames or pages: only the first is used", imported.several_frames)
    reason = f"cannot be decoded: {', '.join(imported.failed[:10])}" if failed else ""
    outcome = {
        "format": "gensis-outcome/1",
        "unit": arguments.unit,
        "outcome": "partial" if failed else "ok",
        "images": images,
        "failed": failed,
        "reason": reason,
        "content": content,
    }
    write_json(arguments.outcome, outcome)
    log.info("%d images, %d failed", images, failed)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--unit", required=True, help="SPLIT-NNNN")
    parser.add_argument("--sheet", type=Path, help="for kind: files")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--outcome", type=Path, required=True)
    command.run(main, parser.parse_args())
