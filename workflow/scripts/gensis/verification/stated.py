"""Content ids that artifacts state of themselves; None where they cannot be read, which their own check says."""

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
    """Of a model's weights."""
    return read_json(folder / PROVENANCE)["weights"]


@_or_none
def store(path: Path) -> str:
    """Of an image store."""
    with Store(path) as opened:
        return opened.content


@_or_none
def bank_filter(path: Path) -> str:
    """Of what a filter keeps of a bank's store."""
    return filter_content(path)


@_or_none
def table(path: Path) -> str:
    """Of a table, which states none: of its bytes."""
    return content_id(path)


@_or_none
def of_whole(folder: Path, *names: str) -> str | None:
    """Of some files of a folder that names the content of each in its provenance; None if one of them is damaged."""
    return None if any(damage(folder)) else content_id(*(folder / name for name in names))
