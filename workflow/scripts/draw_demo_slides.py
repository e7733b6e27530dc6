"""Draw the synthetic slides listed in <folder>/slides.csv, identical on every machine."""

import argparse
import hashlib
import logging

from gensis.artifacts.tables import read_table
from gensis.command import existing_folder, run
from gensis.slides.drawing import draw_slide, write_pyramid

WIDTH_PX, HEIGHT_PX, MPP = 832, 768, 0.5
OTHER_FRACTION = 0.2  # tiles of either tissue occur in slides of both classes, so labels of slides are weak for tiles
PENS = {"lymphoid-1a": "blue", "glandular-2b": "green"}

log = logging.getLogger("draw_demo_slides")


def main(arguments: argparse.Namespace) -> None:
    """Draw the slides in the sheet; the label is the kind of most of the tissue."""
    for row in read_table(arguments.folder / "slides.csv", delimiter=","):
        seed = int.from_bytes(hashlib.sha256(row["slide"].encode()).digest()[:8])
        image = draw_slide(
            row["label"],
            width_px=WIDTH_PX,
            height_px=HEIGHT_PX,
            seed=seed,
            pen=PENS.get(row["slide"]),
            other_fraction=OTHER_FRACTION,
        )
        write_pyramid(arguments.folder / row["path"], image, MPP)
    log.info("drew the slides of %s", arguments.folder)


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--folder", type=existing_folder, required=True, help="folder of slides.csv")
    run(main, command.parse_args())
