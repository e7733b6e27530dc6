"""Checksums of whole JSON and HDF5 files, stored in the files themselves, to detect damage.

A checksum covers the whole file, including its provenance. A content id covers only the data that later stages use: it
stays the same when the same data are computed again at another time.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py  # planning must stay fast; a caller with an open file has imported it
    import numpy as np

NAME = "checksum"
_BLOCK_BYTES = 1 << 24


def sealed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a JSON file, with their checksum added."""
    return values | {NAME: of_json(values)}


def of_json(values: dict[str, Any]) -> str:
    """SHA-256 of a JSON object without its checksum, independent of the order of keys: 16 hexadecimal digits."""
    others = json.loads(json.dumps({name: value for name, value in values.items() if name != NAME}))
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()[:16]


def seal(file: "h5py.File") -> None:
    """Store the checksum of an HDF5 file in its attributes. This reads the whole file: call it last."""
    file.attrs[NAME] = of_hdf5(file)


def of_hdf5(file: "h5py.File") -> str:
    """SHA-256 of all groups, datasets and attributes of an HDF5 file without its checksum: 16 hexadecimal digits.

    Links to other files are not followed. Memory use does not depend on the size of a dataset.
    """
    digest = hashlib.sha256()

    def add(name: str, item: "h5py.HLObject") -> None:
        attributes = {key: getattr(value, "tolist", lambda value=value: value)() for key, value in item.attrs.items()}
        if not name:
            attributes.pop(NAME, None)
        digest.update(json.dumps([name, attributes], sort_keys=True).encode())
        if hasattr(item, "dtype"):
            _add_values(digest, item)

    add("", file)
    file.visititems(add)  # in the order of names
    return digest.hexdigest()[:16]


def _add_values(digest: "hashlib._Hash", data: "h5py.Dataset") -> None:
    text = data.dtype.kind == "O"
    digest.update(f"{'text' if text else data.dtype.str} {data.shape}".encode())
    for block in _blocks(data):
        if text:
            block = b"".join(b"%d:%s" % (len(line), line) for line in block)
        digest.update(block)


def _blocks(data: "h5py.Dataset") -> "Iterator[np.ndarray | list[bytes]]":
    """The values, in blocks of rows."""
    if not data.shape:
        yield [data[()]] if data.dtype.kind == "O" else data[()].reshape(1)
        return
    rows = max(1, _BLOCK_BYTES * len(data) // max(data.nbytes, 1))
    for start in range(0, len(data), rows):
        yield data[start : start + rows]
