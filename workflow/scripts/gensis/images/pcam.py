"""PatchCamelyon in the files of its authors: images, labels, and the slides that the images come from."""

import csv
from pathlib import Path

import h5py
import numpy as np

from gensis.errors import UserError
from gensis.images.codec import encode_png

CLASSES = ("no_tumor", "tumor")
"""Names of the labels 0 and 1: whether the 32 x 32 px in the centre contain tumour."""
# Neighbours lie in one compressed chunk: without a cache that holds it, each image would decompress it again.
_CHUNK_CACHE_BYTES = 2**26


class PCam:
    """One split; images are stored as PNG. See Source."""

    def __init__(self, images: Path, labels: Path, slides: Path):
        """Open the images, and read the labels and, if the file exists, the slides.

        Args:
            images: HDF5 file with `x`, uint8 (N, H, W, 3).
            labels: HDF5 file with `y`, N integers 0 or 1.
            slides: CSV file with the column `wsi` and a line for each image.

        Raises:
            UserError: a file is missing or not as above.
        """
        self._images = _array(images, "x")
        if self._images.dtype != np.uint8 or self._images.ndim != 4 or self._images.shape[-1] != 3:
            raise _wrong(images, "`x` must be uint8 (images, height, width, 3)")
        numbers, count = _array(labels, "y")[:].reshape(-1), len(self._images)
        if len(numbers) != count or not np.isin(numbers, (0, 1)).all():
            raise _wrong(labels, f"`y` must be 0 or 1 for each of the {count} images")
        self.keys = [str(number) for number in range(count)]
        self.labels = [CLASSES[int(number)] for number in numbers]
        self.groups = _slides(slides, count) if slides.exists() else None

    def read(self, position: int) -> bytes:
        """See Source."""
        return encode_png(self._images[position])


def _array(path: Path, name: str) -> h5py.Dataset:
    try:
        return h5py.File(path, "r", locking=False, rdcc_nbytes=_CHUNK_CACHE_BYTES)[name]
    except (OSError, KeyError) as error:
        raise _wrong(path, f"it has no array `{name}` ({error})") from None


def _slides(path: Path, count: int) -> list[str]:
    with open(path, newline="", encoding="utf-8") as file:
        slides = [row.get("wsi") or "" for row in csv.DictReader(file)]
    if len(slides) != count or not all(slides):
        raise _wrong(path, f"its column `wsi` must name a slide for each of the {count} images")
    return slides


def _wrong(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}: download PatchCamelyon again and unpack its files with gunzip")
