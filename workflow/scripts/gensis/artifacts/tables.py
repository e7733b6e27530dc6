"""Small tables as tab-separated or comma-separated text."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gensis.artifacts.files import write_text
from gensis.errors import Damaged

csv.field_size_limit(2**31 - 1)  # the selected rows of a large slide are a long text; Python's default limit is 131,072

_CUT_SHORT = "a row is cut short"


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
    return list(table_rows(path, delimiter))


def table_rows(path: Path, delimiter: str = "\t") -> Iterator[dict[str, str]]:
    """The rows of a table one by one, as `read_table` reads them, without holding the others in memory."""
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            if not _ends_with_a_line(path):
                raise Damaged(path, _CUT_SHORT)
            for row in csv.DictReader(stream, delimiter=delimiter, strict=True):
                if None in row or None in row.values():
                    raise Damaged(path, _CUT_SHORT)
                yield row
    except (ValueError, csv.Error) as error:
        raise Damaged(path, error) from None


def _ends_with_a_line(path: Path) -> bool:
    with open(path, "rb") as stream:
        stream.seek(max(os.path.getsize(path) - 1, 0))
        return stream.read() == b"\n"
