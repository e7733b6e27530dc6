"""Content ids as stored in the artifacts; None if they cannot be read, which is reported when they are checked."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path

from gensis.artifacts.files import content_id, read_json
from gensis.artifacts.folders import PROVENANCE, damage
from gensis.images.bank_filter import filter_content
from gensis.images.store import Store


def _or_none(read: Callable[..., str]) -> Callable[..., str | None]:
    @wraps(read)
    def reader(*paths: Path) -> str | None:
        try:
            return read(*paths)
        except Exception:  # as in Findings.reading
            return None

    return reader


@_or_none
def weights(folder: Path) -> str:
    """Content id of a model's weights."""
    return read_json(folder / PROVENANCE)["weights"]


@_or_none
def file_of(folder: Path, name: str) -> str:
    """Content id of a file in a folder with a provenance."""
    return read_json(folder / PROVENANCE)["files"][name]


@_or_none
def store(path: Path) -> str:
    """Content id of an image store."""
    with Store(path) as opened:
        return opened.content


@_or_none
def bank_filter(path: Path) -> str:
    """Content id of the images that a filter keeps of a bank's store."""
    return filter_content(path)


@_or_none
def table(path: Path) -> str:
    """Content id of a table, computed from its bytes, since tables do not store one."""
    return content_id(path)


@_or_none
def of_whole(folder: Path, *names: str) -> str | None:
    """Content id of some files in a folder with a provenance; None if a file of the folder is damaged."""
    return None if any(damage(folder)) else content_id(*(folder / name for name in names))
