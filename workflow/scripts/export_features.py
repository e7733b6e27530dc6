"""Export the embeddings of a data set's slides, one file per slide, in the formats of CLAM, TRIDENT and STAMP."""

import argparse
import logging
from pathlib import Path

import h5py
import numpy as np

from gensis import command
from gensis.artifacts.hdf5 import open_hdf5, written_hdf5
from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.images import embeddings
from gensis.images.rows import ALL, parse_rows
from gensis.images.store import Store
from gensis.progress import progress
from gensis.slides.fields import magnifications

FORMAT = "gensis-features/1"

log = logging.getLogger("export_features")


def main(arguments: argparse.Namespace) -> None:
    """Write a file for each slide that has tiles; one slide at a time is in memory."""
    chosen = {row["unit"]: row.get("rows", ALL) for row in read_table(arguments.units)}
    written = 0
    for path in progress(arguments.embeddings, len(arguments.embeddings), "parts"):
        with open_hdf5(path, embeddings.FORMAT) as part:
            units = part["units"].asstr()[:]
            bounds = np.searchsorted(part["unit"][:], np.arange(len(units) + 1))
            for unit, first, last in zip(units, bounds[:-1], bounds[1:]):
                rows = parse_rows(chosen[unit], last - first)
                if len(rows):
                    write(
                        arguments.output,
                        unit,
                        part=part,
                        first=first,
                        rows=rows,
                        store_path=arguments.units.parent / f"{unit}.h5",
                        encoder=arguments.encoder,
                    )
                    written += 1
    if not written:
        table = arguments.units.with_name("outcomes.tsv")
        raise UserError(f"none of {len(chosen)} slides has tiles: see the reasons in {table} or outcomes.failed.tsv")
    log.info("%d of %d slides have tiles", written, len(chosen))


def write(
    folder: Path, unit: str, *, part: h5py.File, first: int, rows: np.ndarray, store_path: Path, encoder: str
) -> None:
    """Write `<unit>.h5` and, for STAMP, `stamp/<unit>.h5`."""
    with Store(store_path) as store:
        of_coords, of_slide = dict(store.file["coords"].attrs), dict(store.file.attrs)
    span = slice(first, first + rows[-1] + 1)
    coords = part["coords"][span][rows]
    size = {"level0_width": of_slide["width_level0"], "level0_height": of_slide["height_level0"]}
    magnified = magnifications(  # stores of earlier versions do not state them
        of_slide["mpp_x"], tile_px=of_coords["patch_size"], tile_width_level0=of_slide["tile_width_level0"]
    )
    with written_hdf5(folder / f"{unit}.h5") as file:
        file["features"] = part["features"][span][rows]
        file["features"].attrs["encoder"] = encoder
        file["coords"] = coords
        file["coords"].attrs.update({**of_coords, **magnified, **size, "overlap": 0, "name": unit})
        file.attrs.update({"format": FORMAT, "provenance": part.attrs["provenance"]})
    mpp = np.array([of_slide["mpp_x"], of_slide["mpp_y"]])
    with written_hdf5(folder / "stamp" / f"{unit}.h5") as file:
        file["feats"] = h5py.ExternalLink(f"../{unit}.h5", "features")  # no second copy
        file["coords"] = (coords * mpp).astype(np.float32)
        file.attrs.update(
            {
                "tile_size_um": of_slide["tile_width_level0"] * of_slide["mpp_x"],
                "tile_size_px": of_coords["patch_size"],
                "unit": "um",
                "feat_type": "tile",
                "extractor": encoder,
            }
        )


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--embeddings", type=Path, nargs="+", required=True, help="all parts")
    parser.add_argument("--units", type=Path, required=True, help="units.tsv, in the folder of the slides' stores")
    parser.add_argument("--encoder", required=True, help="name of the encoder, for TRIDENT and STAMP")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    command.run(main, parser.parse_args())
