"""Folders of several files as one artifact: `provenance.json` is written last and lists the others' content ids."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gensis.artifacts.checksums import NAME, of_json
from gensis.artifacts.files import content_id, read_json, write_json, written_atomically

PROVENANCE = "provenance.json"


def write_provenance(folder: Path, record: dict[str, Any]) -> None:
    """Complete a folder: write its provenance, with the content id of every file in it."""
    write_json(folder / PROVENANCE, record | {"files": {name: content_id(folder / name) for name in _names(folder)}})


def damage(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each missing or damaged file of a folder that `write_provenance` completed, and what is wrong with it."""
    try:
        record = read_json(folder / PROVENANCE)
        whole = record[NAME] == of_json(record)
        files = dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield folder / PROVENANCE, f"cannot be read ({error!r})"
        return
    if not whole:
        yield folder / PROVENANCE, "damaged: its checksum does not match its content"
    for name, content in files.items():
        try:
            current = content_id(folder / name)
        except (OSError, ValueError) as error:
            yield folder / name, f"cannot be read ({getattr(error, 'strerror', None) or error})"
            continue
        if current != content:
            yield folder / name, f"damaged: its content id differs from the one in {PROVENANCE}"


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


def _names(folder: Path) -> list[str]:
    """Sorted relative paths of all files below a folder, without its provenance, with `/`."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != PROVENANCE)
