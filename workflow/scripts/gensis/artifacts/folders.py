"""Folders of several files as one artifact: `provenance.json` comes last and names all others with their content."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gensis.artifacts.checksums import NAME, of_json
from gensis.artifacts.files import content_id, read_json, write_json, written_atomically

PROVENANCE = "provenance.json"


def write_provenance(folder: Path, record: dict[str, Any]) -> None:
    """Complete a folder: write its provenance, with the content id of every file that is in it."""
    write_json(folder / PROVENANCE, record | {"files": {name: content_id(folder / name) for name in _names(folder)}})


def damage(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file of a folder that is not as `write_provenance` found or wrote it, and what is wrong with it."""
    try:
        record = read_json(folder / PROVENANCE)
        whole = record[NAME] == of_json(record)
        files = dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield folder / PROVENANCE, f"cannot be read ({error!r})"
        return
    if not whole:
        yield folder / PROVENANCE, "damaged, it is not what was written"
    for name, content in files.items():
        try:
            found = content_id(folder / name)
        except (OSError, ValueError) as error:
            yield folder / name, f"cannot be read ({getattr(error, 'strerror', None) or error})"
            continue
        if found != content:
            yield folder / name, f"damaged, its bytes are not those that {PROVENANCE} names"


def publish_folder(source: Path, target: Path) -> None:
    """Make ``target`` hold copies of the files of ``source``, the provenance last.

    Copies and no links: what damages one of the two leaves the other as it is.

    Args:
        source: a complete folder that stays where it is.
        target: a folder, made if absent; files of the same name are replaced one by one.
    """
    for name in (*_names(source), PROVENANCE):
        with written_atomically(target / name) as temporary:
            shutil.copyfile(source / name, temporary)


def _names(folder: Path) -> list[str]:
    """The files of a folder and of those in it but for its provenance, in order, with `/`."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != PROVENANCE)
