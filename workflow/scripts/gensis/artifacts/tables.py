"""Small tables as tab-separated or comma-separated text."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from gensis.artifacts.files import write_text
from gensis.errors import Damaged

csv.field_size_limit(2**31 - 1)  # the selected rows of a large slide are a long text; Python's default limit is 131,072


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = "\t") -> None:
    """Write a table with a header atomically. Values may contain anything: they are quoted as in CSV."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_table(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    """Read a table with a header: one dictionary per row.

    Raises:
        Damaged: it is empty or not text, or does not end with a whole row.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            text = stream.read()
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (ValueError, csv.Error) as error:
        raise Damaged(path, error) from None
    if not text.endswith("\n") or any(None in row or None in row.values() for row in rows):
        raise Damaged(path, "a row is cut short")
    return rows
