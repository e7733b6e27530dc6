"""HDF5 files that are complete or absent, written and read without locks.

A file of ours appears whole under its name and never changes there, so that nobody who reads it needs a lock; and some
file systems (NFS without its lock daemon, Lustre mounted without flock) have none to give.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gensis.artifacts.files import written_atomically
from gensis.errors import UserError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@contextmanager
def written_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give a new HDF5 file; when the block ends, sync it to disk, look at it anew, and move it to ``path``.

    By itself HDF5 puts writes off until a dataset or the file is closed, and h5py ignores what fails there: a disk that
    is full for a moment would leave wrong values under the final name. Here values are written at once and all else
    before the file is closed, so that every write that is refused raises; and what is then found in the file must be
    what was there. Values are not read back, for a bank may have 100 GB.

    If anything raises, ``path`` is left as it was.
    """
    with written_atomically(path) as temporary:
        file = h5py.File(_create(temporary))
        try:
            yield file
            file.flush()
            os.fsync(file.id.get_vfd_handle())  # by HDF5's own descriptor: another may not be told what failed
            written = _described(file)
        except BaseException:
            with suppress(OSError, RuntimeError):  # fails again, and would hide why
                file.close()
            raise
        file.close()
        with h5py.File(temporary, "r", locking=False) as file:
            if _described(file) != written:
                raise OSError(errno.EIO, "HDF5 finds something else in it than it wrote", str(path))


def _create(path: Path) -> h5py.h5f.FileID:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)  # as h5py does: older ones read it too
    access.set_file_locking(False, ignore_when_disabled=False)
    access.set_sieve_buf_size(0)  # else small values wait until their dataset is closed
    return h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, fapl=access)


def _described(file: h5py.File) -> dict[str, Any]:
    """All of a file but its values: attributes, and type, shape and place of each dataset."""
    found: dict[str, Any] = {"": _attributes(file)}

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        is_data = isinstance(item, h5py.Dataset)
        found[name] = (_attributes(item), (item.dtype, item.shape, item.id.get_offset()) if is_data else None)

    file.visititems(add)
    return found


def _attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in item.attrs.items()}


def open_hdf5(path: Path, format: str | None = None) -> h5py.File:
    """Open a file for reading.

    Args:
        path: a file that is complete.
        format: what its attribute `format` must be: kind and version, such as `gensis-images/2`.

    Raises:
        UserError: it is missing, cannot be read now, is no HDF5, is damaged, or is of another kind or version.
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
        return h5py.File(path, "r")  # this process has it open already, with a lock: both must do alike


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what h5py raises while an open file is read into one line.

    Raises:
        UserError: the file cannot be read now, or is damaged.
    """
    try:
        yield
    except (OSError, KeyError, ValueError) as error:
        raise refused(path, error) from None


def refused(path: Path, error: Exception) -> UserError:
    """Why a file was not read. Only what has been looked at, and is wrong, is to be deleted."""
    try:
        with open(path, "rb") as stream:
            signature = stream.read(len(_SIGNATURE))
    except FileNotFoundError:
        return UserError(f"{path} does not exist: run again, so that it is made")
    except OSError as first:
        error, signature = first, b""
    told = " ".join(str(error).split())
    if isinstance(error, OSError) and (error.errno or "already open" in told):
        why = os.strerror(error.errno) if error.errno else told
        return UserError(f"{path} cannot be read now ({why}): mend that, keep it, and run again")
    if signature != _SIGNATURE:
        return UserError(f"{path} is not HDF5 (it begins with other bytes): move it away and run again")
    return UserError(f"{path} is damaged ({told}): delete it and run again")


def _other_format(found: object, format: str) -> str:
    kind, _, version = str(found).rpartition("/")
    if kind != format.rpartition("/")[0]:
        return f"is no {format} (its format: {found or 'none'}): correct the path, or move it away and run again"
    if version.isdigit() and int(version) > int(format.rpartition("/")[2]):
        return f"was made by a newer version ({found}; this one reads {format}): update the pipeline"
    return f"was made by an older version ({found}; this one reads {format}): delete it and run again"
