"""Atomic writing of files, and content ids."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from gensis.artifacts.checksums import sealed
from gensis.artifacts.temporary import temporary_path
from gensis.errors import Damaged


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; when the block ends, sync the file to disk and move it to ``path``.

    If the block raises, the temporary file is removed and ``path`` is left unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except Exception as error:
        error.add_note(f"while writing {path}")
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_saved(path: Path, save: Callable[[BinaryIO], object]) -> None:
    """Write atomically what a library saves to a stream.

    The library gets no file: Pillow does not notice that a full disk took only a part of its last write, and numpy
    reports it without the system's error.
    """
    stream = io.BytesIO()
    save(stream)
    with written_atomically(path) as temporary:
        temporary.write_bytes(stream.getbuffer())


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON atomically, indented for people, with a checksum of all values."""
    write_text(path, json.dumps(sealed(values), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        Damaged: it is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise Damaged(path, error) from None


def digest(values: Sequence[object]) -> str:
    """Hash of a list of values, 16 hexadecimal digits: a short parameter for a long list."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def content_id(*paths: Path) -> str:
    """SHA-256 of the bytes of the files in the given order, first 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()[:16]


def quick_id(*paths: Path, blocks: int = 16, block_bytes: int = 1 << 16) -> str:
    """Digest of the files' sizes and of evenly spaced blocks, 16 hexadecimal digits: fast for any size.

    Enough for model weights, since another training changes every part of them.
    """
    digest = hashlib.sha256()
    for path in paths:
        size = os.path.getsize(path)
        digest.update(str(size).encode())
        with open(path, "rb") as stream:
            for number in range(blocks):
                stream.seek(max(size - block_bytes, 0) * number // (blocks - 1))
                digest.update(stream.read(block_bytes))
    return digest.hexdigest()[:16]
