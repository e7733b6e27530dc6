"""Natural images packed in one HDF5 file. Users write such files themselves: everything is checked on opening."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gensis.errors import UserError
from gensis.images.pictures import LARGEST_BYTES, refuse_size


class PackedHdf5:
    """A group of an HDF5 file with `jpeg`, `offsets` [, `labels`, `groups`, `names`]; attribute `classes` names labels.

    See Source. `docs/inputs.md` describes the datasets.
    """

    def __init__(self, path: Path, group: str):
        """Open the file and read all but the images.

        Raises:
            UserError: a dataset is missing or invalid.
        """
        self._where = f"{path}, group '{group}'"
        try:
            self._file = h5py.File(path, "r", locking=False)  # reading needs no lock; some file systems have none
            data = self._file[group]
            self._bytes, offsets = data["jpeg"], data["offsets"]
        except (OSError, KeyError, ValueError) as error:
            raise UserError(
                f"{path} has no group '{group}' with `jpeg` and `offsets` ({error}): correct `path` or `splits`"
            ) from None
        if not _is_array(self._bytes, "u") or self._bytes.dtype.itemsize > 1:
            raise self._wrong("jpeg", "must be one-dimensional uint8: the concatenated files")
        self._offsets = self._checked_offsets(offsets)
        self.keys = self._keys(self._column(data, "names"))
        self.groups = self._column(data, "groups")
        self.labels = self._labels(data)

    def refuse_shared_groups(self, other: "PackedHdf5") -> None:
        """Raise UserError if a value of `groups` (a patient, a source) occurs in the other split too."""
        if shared := (set(self.groups or ()) & set(other.groups or ())) - {""}:
            raise UserError(
                f"{self._where}: group '{min(shared)}' of `groups` is also in the other split "
                f"({len(shared)} shared in all): keep each group in one split, otherwise the test measures memorisation"
            )

    def read(self, position: int) -> bytes:
        """See Source."""
        first, last = self._offsets[position : position + 2]
        refuse_size(int(last - first), LARGEST_BYTES, "bytes")
        try:
            return self._bytes[first:last].tobytes()
        except OSError as error:
            if "errno = " in str(error):  # an I/O error, which affects all images
                raise
            raise ValueError(f"HDF5 cannot read it: {error}") from error

    @property
    def _images(self) -> int:
        return len(self._offsets) - 1

    def _wrong(self, name: str, what: str) -> UserError:
        return UserError(f"{self._where}: `{name}` {what}: write the file again")

    def _checked_offsets(self, data: h5py.Dataset) -> np.ndarray:
        if not _is_array(data, "iu"):
            raise self._wrong("offsets", "must be one-dimensional integers")
        offsets = data[:]
        if len(offsets) < 2:
            raise self._wrong("offsets", "lists no image: its length must be the number of images plus one")
        if (falls := np.flatnonzero(offsets[1:] < offsets[:-1])).size:
            at = falls[0] + 1
            raise self._wrong("offsets", f"decreases from {offsets[at - 1]} to {offsets[at]} at index {at}")
        if offsets[0] or offsets[-1] != len(self._bytes):
            raise self._wrong(
                "offsets",
                f"goes from {offsets[0]} to {offsets[-1]}, but must go from 0 to the length of `jpeg`, "
                f"{len(self._bytes)}, and its length must be the number of images plus one",
            )
        return offsets.astype(np.int64)

    def _column(self, data: h5py.Group, name: str) -> list[str] | None:
        """One string per image; None if there is no such dataset. Integers become strings."""
        if name not in data:
            return None
        if not _is_array(data[name], "iubOS") or len(data[name]) != self._images:
            raise self._wrong(name, f"must be a string or integer for each of the {self._images} images")
        return _texts(data[name])

    def _keys(self, names: list[str] | None) -> list[str]:
        """Unique keys: the names, after the image's number if names repeat; without names, the numbers."""
        if names is None:
            return [str(number) for number in range(self._images)]
        if len(set(names)) < len(names):
            return [f"{number}:{name}" for number, name in enumerate(names)]
        return names

    def _labels(self, data: h5py.Group) -> list[str] | None:
        labels, classes = self._column(data, "labels"), self._file.attrs.get("classes")
        if labels is None or classes is None or _is_text(data["labels"]):
            return labels
        if np.ndim(classes) != 1:
            raise UserError(f"{self._where}: attribute `classes` must be a list of names: write the file again")
        names = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in classes]
        numbers = data["labels"][:].astype(np.int64)
        if numbers.min() < 0 or numbers.max() >= len(names):
            span = f"{numbers.min()} to {numbers.max()}"
            what = f"are {span}, but with {len(names)} `classes` they must be 0 to {len(names) - 1}"
            raise self._wrong("labels", what)
        return [names[number] for number in numbers]


def _is_array(data: Any, kinds: str) -> bool:
    """Whether it is a one-dimensional dataset whose dtype is of one of these kinds; objects must be strings."""
    if not isinstance(data, h5py.Dataset) or data.ndim != 1 or data.dtype.kind not in kinds:
        return False
    return data.dtype.kind != "O" or _is_text(data)


def _is_text(data: h5py.Dataset) -> bool:
    return h5py.check_string_dtype(data.dtype) is not None


def _texts(data: h5py.Dataset) -> list[str]:
    if _is_text(data):
        return data.asstr(errors="backslashreplace")[:].tolist()
    return [str(value) for value in (data[:].astype(np.int64) if data.dtype.kind == "b" else data[:]).tolist()]
