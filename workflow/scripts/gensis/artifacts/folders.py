"""Folders of several files as one artifact: `provenance.json` is written last and lists the others' content ids."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gensis.artifacts.checksums import NAME, of_json
from gensis.artifacts.files import content_id, read_json, write_json, written_atomically
from gensis.artifacts.temporary import is_temporary
from gensis.errors import UserError

PROVENANCE = "provenance.json"


def write_provenance(folder: Path, record: dict[str, Any]) -> None:
    """Complete a folder: write its provenance, with the content id of every file in it."""
    write_json(folder / PROVENANCE, record | {"files": {name: content_id(folder / name) for name in _names(folder)}})


def damage(folder: Path, *, is_listing: bool = True) -> Iterator[tuple[Path, str]]:
    """Each missing or damaged file of a folder that `write_provenance` completed, and what is wrong with it.

    Args:
        folder: the folder.
        is_listing: whether a file that cannot be read now is listed too. It may be whole.

    Raises:
        OSError: not ``is_listing``, and a file that exists cannot be read now.
    """
    try:
        record = read_json(folder / PROVENANCE)
        whole = record[NAME] == of_json(record)
        files = dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        _refuse_unread(error, is_listing)
        yield folder / PROVENANCE, f"cannot be read ({getattr(error, 'why', repr(error))})"
        return
    if not whole:
        yield folder / PROVENANCE, "damaged: its checksum does not match its content"
    for name, content in files.items():
        try:
            current = content_id(folder / name)
        except (OSError, ValueError) as error:
            _refuse_unread(error, is_listing)
            yield folder / name, f"cannot be read ({getattr(error, 'strerror', None) or error})"
            continue
        if current != content:
            yield folder / name, f"damaged: its content id differs from the one in {PROVENANCE}"


def _refuse_unread(error: Exception, is_listing: bool) -> None:
    """Raise an error of reading a file that exists."""
    is_absent = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    if isinstance(error, OSError) and not is_absent and not is_listing:
        raise error


def refuse_damaged(folder: Path) -> None:
    """Check a folder before its files are used: libraries load flipped bits without an error.

    Args:
        folder: completed by `write_provenance`. A folder without provenance, which others made, is not checked, nor are
            files that a copy of the folder leaves out.

    Raises:
        UserError: a file is damaged.
        OSError: a file cannot be read now; it may be whole.
    """
    record = folder / PROVENANCE
    for name, content in read_json(record).get("files", {}).items() if record.exists() else ():
        path = folder / name
        if path.exists() and content_id(path) != content:
            raise UserError(f"{path} is damaged: delete {record} and run again, which makes its folder anew")


def publish_folder(source: Path, target: Path) -> None:
    """Copy the files of ``source`` to ``target``, the provenance last.

    The files are copied, not linked, so that damage to one folder does not affect the other.

    Args:
        source: a complete folder, which is not changed.
        target: a folder, made if absent; files of the same name are replaced one by one.
    """
    for name in (*_names(source), PROVENANCE):
        with written_atomically(target / name) as temporary:
            shutil.copyfile(source / name, temporary)


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder after all that is in it is on the disk: after a power failure ``target`` is complete or absent.

    Args:
        source: a complete folder.
        target: an absent folder beside it.
    """
    for path in (*source.rglob("*"), source):
        _sync(path)
    source.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names(folder: Path) -> list[str]:
    """Sorted relative paths with `/` of all files below a folder but its provenance and temporary files."""
    files = (path for path in folder.rglob("*") if path.is_file() and not is_temporary(path))
    return sorted({path.relative_to(folder).as_posix() for path in files} - {PROVENANCE})
