"""Sources of natural images: files listed in a sheet, a folder tree, torchvision, HDF5 files."""

import errno
import fcntl
import logging
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from gensis.errors import UserError
from gensis.images.codec import encode_png
from gensis.images.packed import PackedHdf5
from gensis.images.pcam import PCam
from gensis.images.pictures import LARGEST_BYTES, refuse_size
from gensis.settings.datasets import (
    FilesDataset,
    FolderDataset,
    Hdf5Dataset,
    NaturalDataset,
    PCamDataset,
    TorchvisionDataset,
)
from gensis.settings.sheet import Row

log = logging.getLogger(__name__)

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".avif", ".jp2", ".ppm", ".pgm",
)  # fmt: skip
"""Suffixes of image files in a folder tree, in upper or lower case; the format is determined from the content."""
# Folders that operating systems leave next to images, with previews, copies or deleted files. Hidden names as well.
_LEFT_BY_SYSTEMS = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
)
# Errors that concern one file, such as a broken link; any other error is the disk's and ends the import.
_OF_ONE_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM})


class Source(Protocol):
    """The images of one split, in a fixed order."""

    keys: Sequence[str]
    """Unique name of each image."""
    labels: Sequence[str] | None
    """Label of each image, empty if it has none; None if the source has no labels."""
    groups: Sequence[str] | None
    """Group of each image, which must stay on one side of a fold; None if the source has no groups."""

    def read(self, position: int) -> bytes:
        """One image, encoded.

        Raises:
            ValueError: this image cannot be read; others can.
        """


def open_source(dataset: NaturalDataset, split: str, rows: Sequence[Row] = ()) -> Source:
    """Open one split of a data set.

    Args:
        dataset: its settings.
        split: ``train`` or ``test``.
        rows: the sheet's lines, for `kind: files`.

    Raises:
        UserError: there are no images, or their description is invalid.
    """
    if isinstance(dataset, FilesDataset):
        return Files([row for row in rows if (row.split or "train") == split])
    if isinstance(dataset, FolderDataset):
        return Folder(Path(dataset.path) / dataset.splits[split])
    if isinstance(dataset, Hdf5Dataset):
        return _packed(Path(dataset.path), dataset.splits[split], set(dataset.splits.values()))
    if isinstance(dataset, PCamDataset):
        return PCam(*(Path(dataset.file(split, part)) for part in ("x.h5", "y.h5", "meta.csv")))
    if isinstance(dataset, TorchvisionDataset):
        return Torchvision(dataset.name, Path(dataset.root), split)
    raise TypeError(f"no source for {type(dataset).__name__}")


def selection(images: int, dataset: NaturalDataset, split: str) -> np.ndarray:
    """Images of a split that a data set selects of ``images``: int64, ascending.

    Raises:
        UserError: the split has fewer images than its `image_range`.
    """
    if split in dataset.image_range:
        first, last = dataset.image_range[split]
        if last > images:
            raise UserError(f"image_range.{split} ends at {last}, but there are {images} images: choose a smaller end")
        return np.sort(np.random.default_rng(0).permutation(images)[first:last])
    most = dataset.max_images.get(split)
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
        return _read_file(Path(self._paths[position]))


class Folder:
    """A folder tree in which the first folder below the root names the class."""

    groups = None

    def __init__(self, root: Path):
        """List the images.

        Raises:
            UserError: there are no images, or a folder cannot be read.
        """
        left_out: Counter[str] = Counter()
        self._root = root
        self._names = sorted(_pictures_below(os.fspath(root), left_out))
        others = ", ".join(f"{count} {kind}" for kind, count in left_out.most_common(10))
        if not self._names:
            raise UserError(
                f"folder {root} holds no images ({', '.join(SUFFIXES)}){f', just {others}' if others else ''}: correct "
                "`path` or `splits` (use `splits: {train: .}` for a folder without train/ and test/)"
            )
        if others:
            log.info("%s: skipped files: %s", root, others)
        # Bytes of a name that are not UTF-8 are escaped: the store holds text.
        self.keys = [
            name if name.isascii() else os.fsencode(name).decode(errors="backslashreplace") for name in self._names
        ]
        classes = [sys.intern(key.partition("/")[0]) if "/" in key else "" for key in self.keys]
        self.labels = classes if any(classes) else None

    def read(self, position: int) -> bytes:
        """See Source."""
        return _read_file(self._root / self._names[position])


def _pictures_below(root: str, left_out: Counter[str]) -> Iterator[str]:
    """Files with `SUFFIXES` below a folder, each real folder once; `left_out` counts the other files by suffix.

    Paths are relative to the folder, and strings, since there may be millions.

    Links to folders are followed last, so that files below the root are listed under their own paths.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        for folder, folders, files in os.walk(waiting.pop(0), onerror=_folder_failed):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = _visible(folders, left_out)
            waiting += [path for name in folders if os.path.islink(path := os.path.join(folder, name))]
            below = folder[len(root) :].lstrip("/")
            for name in _visible(files, left_out):
                suffix = os.path.splitext(name)[1].lower()
                # A broken link may have been a link to a folder.
                if suffix in SUFFIXES or not os.path.exists(os.path.join(folder, name)):
                    yield f"{below}/{name}" if below else name
                else:
                    left_out[suffix or "without a suffix"] += 1


def _visible(names: list[str], left_out: Counter[str]) -> list[str]:
    """Sorted names, without hidden ones and those that operating systems leave."""
    visible = sorted(name for name in names if not name.startswith(".") and name not in _LEFT_BY_SYSTEMS)
    if hidden := len(names) - len(visible):
        left_out["hidden"] += hidden
    return visible


def _folder_failed(error: OSError) -> None:
    if error.errno in (errno.EACCES, errno.EPERM):
        raise UserError(f"folder {error.filename} may not be read: give this user permission, or move it") from None
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        raise error


def _read_file(path: Path) -> bytes:
    """All bytes of a file. Raises ValueError if only this file cannot be read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        refuse_size(status.st_size, LARGEST_BYTES, "bytes")
        return path.read_bytes()
    except OSError as error:
        if error.errno not in _OF_ONE_FILE:
            raise
        raise ValueError(error.strerror) from error


def _packed(path: Path, group: str, groups_of_splits: set[str]) -> PackedHdf5:
    packed = PackedHdf5(path, group)
    if packed.groups:
        for other in groups_of_splits - {group}:
            packed.refuse_shared_groups(PackedHdf5(path, other))
    return packed


class Torchvision:
    """A data set of torchvision, downloaded once and checked with torchvision's checksum; images are stored as PNG."""

    groups = None

    def __init__(self, name: str, root: Path, split: str):
        from torchvision import datasets  # imports torch, which is slow

        root.mkdir(parents=True, exist_ok=True)
        which = {"train": split == "train"} if name.startswith("CIFAR") else {"split": split}
        # The jobs of the two splits may start together; one downloads, the other waits.
        with open(root / f"{name}.lock", "w") as lock:
            lock_if_possible(lock.fileno())
            try:
                self._data = getattr(datasets, name)(root, download=True, **which)
            except (OSError, RuntimeError) as error:
                raise UserError(f"torchvision cannot download {name} to {root}: {error}") from None
        targets = self._data.targets if hasattr(self._data, "targets") else self._data.labels
        classes = getattr(self._data, "classes", None)
        self.keys = [str(number) for number in range(len(self._data))]
        self.labels = [classes[int(target)] if classes else str(int(target)) for target in targets]

    def read(self, position: int) -> bytes:
        """See Source."""
        return encode_png(np.asarray(self._data[position][0].convert("RGB")))


def lock_if_possible(descriptor: int) -> None:
    """Wait for the lock of an open file, held until it is closed; do nothing if the file system has no locks.

    Without a lock, two downloads may write the same bytes to the same file; torchvision's checksum detects errors.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
