"""Single encoded images read from their stores by plain reads.

A store's datasets are contiguous, so that once it is known where they begin in the file, an image is three plain reads:
its two offsets, its bytes and their checksum. Nothing of a store but where its datasets begin is kept, whatever the
number of its images.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from gensis.errors import UserError
from gensis.images.codec import checksum
from gensis.images.open_files import OpenFiles
from gensis.images.store import CHANGED, Store


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a store's file its images are."""

    path: Path
    content: str
    """The store's content id."""
    images: int
    offsets_at: int
    """Byte at which the offsets begin, int64 each."""
    encoded_at: int
    """Byte at which the images' bytes begin; 0 in a store without images."""
    encoded_bytes: int
    """Length of them all."""
    checksums_at: int
    """Byte at which their checksums begin, uint32 each; 0 in a store without images."""


def read_layout(path: Path) -> Layout:
    """Open a store for a moment and look (0.5 ms on a local disk, one store at a time).

    Raises:
        UserError: it is no image store, or its datasets are not contiguous.
    """
    with Store(path) as store:
        offsets_at, encoded_at, checksums_at = beginnings = [
            store.file[name].id.get_offset() for name in ("offsets", "encoded", "image_crc32")
        ]
        if len(store) and None in beginnings:
            raise UserError(
                f"{path}: its datasets are not contiguous, as a program that repacks files leaves them: "
                "delete it and run again"
            )
        size = len(store.file["encoded"])
        return Layout(path, store.content, len(store), offsets_at or 0, encoded_at or 0, size, checksums_at or 0)


class EncodedImages:
    """The images of some stores by store and position. Any number of threads may read at once."""

    def __init__(self, layouts: list[Layout]):
        self.layouts = layouts
        self._files = OpenFiles()

    def read(self, store: int, position: int) -> bytes:
        """The bytes of one image.

        Raises:
            ValueError: the file ends before the image does, or its bytes are not those that were written.
            OSError: it cannot be read; the error names the file.
        """
        layout = self.layouts[store]
        first, last = struct.unpack("=qq", self._files.read(layout.path, layout.offsets_at + 8 * position, 16))
        if not 0 <= first <= last <= layout.encoded_bytes:
            raise ValueError(CHANGED)
        encoded = self._files.read(layout.path, layout.encoded_at + first, last - first)
        (expected,) = struct.unpack("=I", self._files.read(layout.path, layout.checksums_at + 4 * position, 4))
        if checksum(encoded) != expected:
            raise ValueError(CHANGED)
        return encoded

    def close(self) -> None:
        """Close all files; reading opens them again."""
        self._files.close()
