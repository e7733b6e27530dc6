"""Reads CSV files saved by spreadsheet programs, with any of their encodings and separators."""

import codecs
import csv
import io
import re
from pathlib import Path

from gensis.errors import UserError

SEPARATORS = ",;\t"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # of xlsx and ods, of xls
_SAVE = "save it as `CSV UTF-8` (Excel: File > Save as)"


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and stripped cells of each line that is not empty.

    The encoding is UTF-8, or UTF-16 with a byte order mark. The separator is the most frequent of comma, semicolon
    and tab in the first line, or the one in Excel's `sep=` line. Empty lines, and lines of separators only, are
    skipped.

    Raises:
        UserError: the file is missing, cannot be read, or is not such a text file.
    """
    stream = io.StringIO(_text(path), newline=None)
    first = stream.readline()
    declared = re.fullmatch(r"sep=(.)\n?", first)
    if not declared:
        stream.seek(0)
    reader = csv.reader(stream, delimiter=declared[1] if declared else max(SEPARATORS, key=first.count))
    skipped = 1 if declared else 0
    lines, number = [], 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                lines.append((number + skipped, stripped))
            number = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"sheet {path} line {number + skipped} cannot be read ({error}): {_SAVE}") from None
    return lines


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"sheet {path} does not exist: correct the data set's `sheet`") from None
    except OSError as error:
        raise UserError(f"sheet {path} cannot be read ({error.strerror}): fix this") from None
    if content.startswith(_WORKBOOKS):
        raise UserError(f"sheet {path} is a workbook, not CSV: {_SAVE}")
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # Another encoding, such as cp1252, could only be guessed, and a wrong guess would change names and labels.
        raise UserError(f"sheet {path} line {line} is not in UTF-8: {_SAVE}") from None
    if "\0" in text:
        raise UserError(f"sheet {path} is not text: {_SAVE}")
    return text
