"""HDF5 files, written atomically and read without file locks.

A file appears under its final name only when it is complete and never changes afterwards, so readers need no lock. Some
file systems (NFS without its lock daemon, Lustre mounted without flock) have no locks.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gensis.artifacts.checksums import seal
from gensis.artifacts.files import written_atomically
from gensis.errors import UserError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@contextmanager
def written_hdf5(path: Path, checksum: bool = True) -> Iterator[h5py.File]:
    """Yield a new HDF5 file; when the block ends, sync it to disk, check its structure, and move it to ``path``.

    By default, HDF5 delays writes until a dataset or the file is closed, and h5py ignores errors there: a disk that is
    full for a moment would leave wrong values under the final name. Here values are written at once, and everything
    else before the file is closed, so that every failed write raises. Then the file is opened again, and its attributes
    and the type, shape and offset of each dataset are compared. Values are not read back: a bank may have 100 GB.

    If anything raises, ``path`` is left unchanged.

    Args:
        path: the file to write.
        checksum: store the checksum of the whole file, for which it is read once. Not for image stores, which are large
            and have a content id.
    """
    with written_atomically(path) as temporary:
        file = h5py.File(_create(temporary))
        try:
            yield file
            if checksum:
                seal(file)
            file.flush()
            os.fsync(file.id.get_vfd_handle())  # HDF5's own descriptor: another one may not report earlier errors
            written = _described(file)
        except BaseException:
            with suppress(OSError, RuntimeError):  # would fail again and hide the cause
                file.close()
            raise
        file.close()
        with h5py.File(temporary, "r", locking=False) as file:
            if _described(file) != written:
                raise OSError(errno.EIO, "the file read back differs from the file written", str(path))


def _create(path: Path) -> h5py.h5f.FileID:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)  # as h5py: old versions can read
    access.set_file_locking(False, ignore_when_disabled=False)
    access.set_sieve_buf_size(0)  # otherwise small values wait until their dataset is closed
    return h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, fapl=access)


def _described(file: h5py.File) -> dict[str, Any]:
    """Everything in a file except its values: attributes, and type, shape and offset of each dataset."""
    described: dict[str, Any] = {"": _attributes(file)}

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        is_data = isinstance(item, h5py.Dataset)
        described[name] = (_attributes(item), (item.dtype, item.shape, item.id.get_offset()) if is_data else None)

    file.visititems(add)
    return described


def _attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in item.attrs.items()}


def open_hdf5(path: Path, format: str | None = None) -> h5py.File:
    """Open a file for reading.

    Args:
        path: a complete file.
        format: required value of its attribute `format`: kind and version, such as `gensis-images/2`.

    Raises:
        UserError: the file is missing, cannot be read, is not HDF5, is damaged, or has another kind or version.
    """
    try:
        file = _opened(path)
    except OSError as error:
        raise refused(path, error) from None
    if format is not None:
        with reading(path):
            found = file.attrs.get("format")
        if found != format:
            file.close()
            raise UserError(f"{path} {_other_format(found, format)}")
    return file


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(path, "r")  # this process has the file open with a lock: both handles must agree


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn h5py's errors while an open file is read into one line.

    Raises:
        UserError: the file cannot be read, or is damaged.
    """
    try:
        yield
    except (OSError, KeyError, ValueError) as error:
        raise refused(path, error) from None


def refused(path: Path, error: Exception) -> UserError:
    """Why a file was not read. Only a file that was read and found damaged is to be deleted."""
    try:
        with open(path, "rb") as stream:
            signature = stream.read(len(_SIGNATURE))
    except FileNotFoundError:
        return UserError(f"{path} does not exist: run the pipeline again to create it")
    except OSError as first:
        error, signature = first, b""
    message = " ".join(str(error).split())
    if isinstance(error, OSError) and (error.errno or "already open" in message):
        why = os.strerror(error.errno) if error.errno else message
        return UserError(f"{path} cannot be read ({why}): fix this error, keep the file, and run again")
    if signature != _SIGNATURE:
        return UserError(f"{path} is not an HDF5 file (wrong signature): move it elsewhere and run again")
    return UserError(f"{path} is damaged ({message}): delete it and run again")


def _other_format(found: object, format: str) -> str:
    kind, _, version = str(found).rpartition("/")
    if kind != format.rpartition("/")[0]:
        return f"is not {format} (its format: {found or 'none'}): correct the path, or move it elsewhere and run again"
    if version.isdigit() and int(version) > int(format.rpartition("/")[2]):
        return f"was made by a newer version ({found}; this version reads {format}): update the pipeline"
    return f"was made by an older version ({found}; this version reads {format}): delete it and run again"
