"""Where natural images come from: files in a sheet, a folder tree, torchvision, or one packed HDF5 file."""

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from gensis.errors import UserError
from gensis.images.codec import encode_png
from gensis.settings.datasets import FilesDataset, FolderDataset, Hdf5Dataset, NaturalDataset, TorchvisionDataset
from gensis.settings.sheet import Row

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


class Source(Protocol):
    """The images of one split, in a fixed order."""

    keys: Sequence[str]
    """What the source calls each image; unique."""
    labels: Sequence[str] | None
    """Label of each image, empty where it has none; None where the source knows no labels."""
    groups: Sequence[str] | None
    """Group of each image that must stay on one side of a fold; None where the source knows none."""

    def read(self, position: int) -> bytes:
        """One image, encoded."""


def open_source(dataset: NaturalDataset, split: str, rows: Sequence[Row] = ()) -> Source:
    """Open one split of a data set.

    Args:
        dataset: its settings.
        split: ``train`` or ``test``.
        rows: the sheet's lines, for `kind: files`.
    """
    if isinstance(dataset, FilesDataset):
        return Files([row for row in rows if (row.split or "train") == split])
    if isinstance(dataset, FolderDataset):
        return Folder(Path(dataset.path) / dataset.splits[split])
    if isinstance(dataset, Hdf5Dataset):
        return PackedHdf5(Path(dataset.path), dataset.splits[split])
    if isinstance(dataset, TorchvisionDataset):
        return Torchvision(dataset.name, Path(dataset.root), split)
    raise TypeError(f"no source for {type(dataset).__name__}")


def selection(images: int, most: int | None) -> np.ndarray:
    """Which of a split's images are taken: all, or ``most`` at random with a fixed seed; int64, ascending."""
    if most is None or most >= images:
        return np.arange(images)
    return np.sort(np.random.default_rng(0).choice(images, most, replace=False))


class Files:
    """Image files listed in a sheet."""

    def __init__(self, rows: Sequence[Row]):
        self.keys = [row.name for row in rows]
        self.labels = [row.label for row in rows]
        self.groups = [row.group for row in rows]
        self._paths = [row.path for row in rows]

    def read(self, position: int) -> bytes:
        """See Source."""
        return Path(self._paths[position]).read_bytes()


class Folder:
    """A folder tree in which the first folder below the root names the class."""

    groups = None

    def __init__(self, root: Path):
        self._root = root
        found = (
            (Path(folder) / name).relative_to(root)
            for folder, _, names in os.walk(root, followlinks=True)
            for name in names
            if name.lower().endswith(SUFFIXES)
        )
        self.keys = sorted(path.as_posix() for path in found)
        if not self.keys:
            raise UserError(
                f"folder {root} holds no images ({', '.join(SUFFIXES)}): correct `path` or `splits` "
                "(`splits: {train: .}` takes a folder without train/ and test/)"
            )
        parts = [key.split("/") for key in self.keys]
        self.labels = [part[0] for part in parts] if all(len(part) > 1 for part in parts) else None

    def read(self, position: int) -> bytes:
        """See Source."""
        return (self._root / self.keys[position]).read_bytes()


class PackedHdf5:
    """A group of an HDF5 file with `jpeg`, `offsets` [, `labels`, `names`]; attribute `classes` names the labels."""

    groups = None

    def __init__(self, path: Path, group: str):
        try:
            self._file = h5py.File(path, "r")
            data = self._file[group]
            self._bytes, self._offsets = data["jpeg"], data["offsets"][:]
        except (OSError, KeyError) as error:
            raise UserError(
                f"{path} has no group '{group}' with `jpeg` and `offsets` ({error}): correct `path` or `splits`"
            ) from None
        count = len(self._offsets) - 1
        self.keys = list(data["names"].asstr()[:]) if "names" in data else [str(number) for number in range(count)]
        self.labels = None
        if "labels" in data:
            classes = self._file.attrs.get("classes")
            names = [str(number) for number in data["labels"][:]]
            self.labels = names if classes is None else [str(classes[int(number)]) for number in names]

    def read(self, position: int) -> bytes:
        """See Source."""
        return self._bytes[self._offsets[position] : self._offsets[position + 1]].tobytes()


class Torchvision:
    """A data set of torchvision, downloaded once with torchvision's own checksum; images are stored losslessly."""

    groups = None

    def __init__(self, name: str, root: Path, split: str):
        from torchvision import datasets  # imports torch: only who asks for it pays

        root.mkdir(parents=True, exist_ok=True)
        which = {"train": split == "train"} if name.startswith("CIFAR") else {"split": split}
        # The jobs of the two splits may start together; one downloads, the other waits.
        with open(root / f"{name}.lock", "w") as lock:
            lock_if_possible(lock.fileno())
            try:
                self._data = getattr(datasets, name)(root, download=True, **which)
            except (OSError, RuntimeError) as error:
                raise UserError(f"torchvision cannot get {name} into {root}: {error}") from None
        targets = self._data.targets if hasattr(self._data, "targets") else self._data.labels
        classes = getattr(self._data, "classes", None)
        self.keys = [str(number) for number in range(len(self._data))]
        self.labels = [classes[int(target)] if classes else str(int(target)) for target in targets]

    def read(self, position: int) -> bytes:
        """See Source."""
        return encode_png(np.asarray(self._data[position][0].convert("RGB")))


def lock_if_possible(descriptor: int) -> None:
    """Wait for the lock of an open file, held until it is closed; go on without where the file system has no locks.

    Two downloads at once then write the same bytes to the same file; torchvision's checksum tells if that went wrong.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
