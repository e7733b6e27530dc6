"""Text that a spreadsheet program saved: its lines as cells, whatever encoding and separator it chose."""

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
    """Number in the file and stripped cells of each line that says something.

    UTF-8, or UTF-16 with its mark; the separator is the one of comma, semicolon and tab that the first line has most
    of, or the one that Excel's `sep=` names. Empty lines, and lines of separators alone, are left out.

    Raises:
        UserError: the file is missing, cannot be read, or is no such text.
    """
    stream = io.StringIO(_text(path), newline=None)
    first = stream.readline()
    told = re.fullmatch(r"sep=(.)\n?", first)
    if not told:
        stream.seek(0)
    reader = csv.reader(stream, delimiter=told[1] if told else max(SEPARATORS, key=first.count))
    skipped = 1 if told else 0
    found, number = [], 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                found.append((number + skipped, stripped))
            number = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"sheet {path} line {number + skipped} cannot be read ({error}): {_SAVE}") from None
    return found


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"sheet {path} does not exist: correct the data set's `sheet`") from None
    except OSError as error:
        raise UserError(f"sheet {path} cannot be read ({error.strerror}): mend that") from None
    if content.startswith(_WORKBOOKS):
        raise UserError(f"sheet {path} is a workbook, not CSV: {_SAVE}")
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # What else it may be (cp1252, say) can only be guessed, and a wrong guess changes names and labels silently.
        raise UserError(f"sheet {path} line {line} is not in UTF-8: {_SAVE}") from None
    if "\0" in text:
        raise UserError(f"sheet {path} is not text: {_SAVE}")
    return text
