"""The image store: one HDF5 file per unit (a slide, or a shard of natural images or of a bank).

`encoded` holds the concatenated bytes of the images, `offsets` where each image begins, and `image_crc32` a checksum of
each image, which is verified on every read. Files are written atomically.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from gensis.artifacts.hdf5 import open_hdf5, reading, written_hdf5
from gensis.errors import UserError
from gensis.images.codec import checksum

FORMAT = "gensis-images/2"
_SPOOL_BYTES = 1 << 28  # kept in memory up to this size, then in a temporary file next to the target
_BLOCK_BYTES = 1 << 24

Columns = Mapping[str, np.ndarray]


def write_store(
    path: Path,
    encoded: Iterable[bytes],
    attributes: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    *,
    columns: Callable[[], Columns] = dict,
    column_attributes: Mapping[str, Mapping[str, Any]] = {},
) -> tuple[int, str]:
    """Write a store while the images are generated: memory use does not depend on their number.

    Args:
        path: the file to write.
        encoded: the images, as JPEG or PNG bytes.
        attributes: of the file, in addition to `format` and `content`; a function is called after the last image.
        columns: called after the last image; name -> array with one row per image. Other arrays that belong to the
            unit, such as a slide's thumbnail, are stored the same way.
        column_attributes: name of a column -> attributes of its dataset.

    Returns:
        Number of images, and the content id: SHA-256 of all bytes, offsets and columns, first 16 hexadecimal digits.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=path.parent) as spool:
        offsets, checksums = [0], []
        digest = hashlib.sha256()
        for image in encoded:
            spool.write(image)
            digest.update(image)
            offsets.append(offsets[-1] + len(image))
            checksums.append(checksum(image))
        arrays = {
            "offsets": np.asarray(offsets, np.int64),
            "image_crc32": np.asarray(checksums, np.uint32),
            **columns(),
        }
        content = _content(digest, arrays)
        with written_hdf5(path, checksum=False) as file:  # `content` covers the images
            _copy_contiguous(spool, file.create_dataset("encoded", (offsets[-1],), np.uint8))
            for name, array in arrays.items():
                file.create_dataset(name, data=array, dtype=h5py.string_dtype() if array.dtype.kind in "OU" else None)
            for name, values in column_attributes.items():
                file[name].attrs.update(values)
            others = attributes() if callable(attributes) else attributes
            file.attrs.update({"format": FORMAT, "content": content, **others})
    return len(offsets) - 1, content


def _content(digest: "hashlib._Hash", arrays: Columns) -> str:
    """Content id from the digest of the images' bytes and all columns, sorted by name."""
    for name in sorted(arrays):
        array = arrays[name]
        text = array.dtype.kind in "OU"
        digest.update("\0".join(array).encode() if text else np.ascontiguousarray(array))
    return digest.hexdigest()[:16]


def _copy_contiguous(spool: IO[bytes], target: h5py.Dataset) -> None:
    spool.seek(0)
    position = 0
    while block := spool.read(_BLOCK_BYTES):
        target[position : position + len(block)] = np.frombuffer(block, np.uint8)
        position += len(block)


CHANGED = "its checksum does not match its bytes"


def damaged_image(path: Path, position: int, why: object) -> UserError:
    """The error for a damaged image of a store."""
    return UserError(f"{path}: its image {position} is damaged ({why}): delete this file and run again")


class Store:
    """One unit's images, opened for reading. Open it in the process that uses it."""

    def __init__(self, path: Path):
        """Open a store.

        Raises:
            UserError: the file is missing, cannot be read, or is not an image store.
        """
        self.path = Path(path)
        self.file = open_hdf5(path, FORMAT)
        with reading(path):
            self.offsets: np.ndarray = self.file["offsets"][:]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def content(self) -> str:
        """Content id."""
        return self.file.attrs["content"]

    def read(self, start: int, stop: int) -> list[bytes]:
        """The encoded images ``start`` to ``stop`` (exclusive), read at once.

        Raises:
            UserError: the file cannot be read, or an image is damaged.
        """
        with reading(self.path):
            block = self.file["encoded"][self.offsets[start] : self.offsets[stop]].tobytes()
            written = self.file["image_crc32"][start:stop].tolist()
        bounds = (self.offsets[start : stop + 1] - self.offsets[start]).tolist()
        images = [block[first:last] for first, last in pairwise(bounds)]
        for position, (image, expected) in enumerate(zip(images, written), start):
            if checksum(image) != expected:
                raise damaged_image(self.path, position, CHANGED)
        return images

    def column(self, name: str) -> np.ndarray:
        """One column, strings decoded."""
        data = self.file[name]
        return data.asstr()[:] if h5py.check_string_dtype(data.dtype) else data[:]

    def computed_content(self) -> str:
        """The content id, computed from the file's data: equal to `content` unless the file is damaged."""
        digest, data = hashlib.sha256(), self.file["encoded"]
        for start in range(0, len(data), _BLOCK_BYTES):
            digest.update(data[start : start + _BLOCK_BYTES])
        return _content(digest, {name: self.column(name) for name in self.file if name != "encoded"})

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
