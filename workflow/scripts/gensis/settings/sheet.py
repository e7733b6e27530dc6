"""Sample sheets: CSV files that list slides or image files."""

import csv
import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gensis.errors import UserError
from gensis.settings.base import checked_name, checked_path
from gensis.settings.datasets import FILE_COLUMNS, SLIDE_COLUMNS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One line of a sheet. Empty strings stand for absent values."""

    name: str
    """The slide's name; for image files their path as the sheet writes it."""
    path: str
    """Relative where it lies inside the working directory, so that a moved clone reruns nothing; else absolute."""
    label: str = ""
    group: str = ""
    split: str = ""
    mpp: float | None = None
    mask: str = ""
    """Of tissue: an image of the whole slide, or GeoJSON."""
    annotations: str = ""
    """GeoJSON whose classes label tiles."""


def read_sheet(
    sheet: Path, kind: str, columns: dict[str, str], will_exist: Callable[[str], bool] = lambda path: False
) -> list[Row]:
    """Read and check a sheet.

    Args:
        sheet: the CSV file.
        kind: ``slides`` or ``files``.
        columns: standard column name -> name in this sheet.
        will_exist: says of a missing path whether a rule makes it.

    Raises:
        UserError: missing sheet, column or file, duplicate or impossible name, a group in two splits.
    """
    known = SLIDE_COLUMNS if kind == "slides" else FILE_COLUMNS
    lines = _read_lines(sheet, known, columns)
    rows = [_parse_row(sheet, number, line, kind) for number, line in enumerate(lines, start=2)]
    if not rows:
        raise UserError(f"sheet {sheet} lists nothing: add a line for each {kind.removesuffix('s')}")
    _check_rows(sheet, rows, will_exist)
    return rows


def _read_lines(sheet: Path, known: tuple[str, ...], columns: dict[str, str]) -> list[dict[str, str]]:
    unknown = set(columns) - set(known)
    if unknown:
        raise UserError(f"columns: '{min(unknown)}' is none of {', '.join(known)}: correct the data set's `columns`")
    try:
        with open(sheet, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            lines = list(reader)
    except FileNotFoundError:
        raise UserError(f"sheet {sheet} does not exist: correct the data set's `sheet`") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"sheet {sheet} cannot be read as CSV in UTF-8 ({error}): save it again as such") from None
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        separators = "semicolons" if ";" in header[0] else "tabs"
        raise UserError(f"sheet {sheet} is separated by {separators}: separate by commas")
    required = [name for name in ("slide", "path") if name in known]
    for name in {*required, *columns}:
        if columns.get(name, name) not in header:
            raise UserError(
                f"sheet {sheet} has no column '{columns.get(name, name)}' (it has: {', '.join(header)}): "
                f"add it, or name the right one with `columns: {{{name}: ...}}`"
            )
    used = {columns.get(name, name) for name in known}
    if unused := [name for name in header if name and name not in used]:
        log.warning(
            "sheet %s: columns not used: %s: if one of them is the label or group, say so with `columns: {group: ...}`",
            sheet,
            ", ".join(unused),
        )
    return [{name: (line.get(columns.get(name, name)) or "").strip() for name in known} for line in lines]


def _parse_row(sheet: Path, number: int, line: dict[str, str], kind: str) -> Row:
    where = f"sheet {sheet} line {number}"
    if not line["path"]:
        raise UserError(f"{where}: path is empty: fill it in or remove the line")
    try:
        name = checked_name(line["slide"]) if kind == "slides" else line["path"]
        path = _placed(sheet, checked_path(line["path"]))
        mask, annotations = (
            _placed(sheet, checked_path(line[column])) if line.get(column) else "" for column in ("mask", "annotations")
        )
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    mpp = None
    if line.get("mpp"):
        try:
            mpp = float(line["mpp"])
        except ValueError:
            raise UserError(f"{where}: mpp '{line['mpp']}' is not a number: write um/px, such as 0.5") from None
        if not 0.05 <= mpp <= 20:
            raise UserError(f"{where}: mpp {mpp} lies outside 0.05 to 20 um/px: correct it or leave it empty")
    return Row(name, path, line["label"], line["group"], line["split"], mpp, mask, annotations)


def _placed(sheet: Path, path: str) -> str:
    absolute = os.path.abspath(sheet.parent / path)
    relative = os.path.relpath(absolute)
    return absolute if relative.startswith("..") else relative


def _check_rows(sheet: Path, rows: list[Row], will_exist: Callable[[str], bool]) -> None:
    name, count = Counter(row.name for row in rows).most_common(1)[0]
    if count > 1:
        raise UserError(f"sheet {sheet} lists '{name}' {count} times: give each line a name of its own")
    split_of: dict[str, str] = {}
    for row in rows:
        for path in filter(None, (row.path, row.mask, row.annotations)):
            if not os.path.exists(path) and not will_exist(path):
                raise UserError(
                    f"sheet {sheet}: {path} of '{row.name}' does not exist: correct the path or remove the line"
                )
        if row.split not in ("", "train", "test"):
            raise UserError(
                f"sheet {sheet}: split '{row.split}' of '{row.name}' is neither 'train' nor 'test': correct it"
            )
        if row.group and split_of.setdefault(row.group, row.split) != row.split:
            raise UserError(
                f"sheet {sheet}: group '{row.group}' lies in two splits, '{split_of[row.group]}' and '{row.split}': "
                "put all of a group on one side, or the test measures memory"
            )
    splits = {row.split for row in rows}
    if "" in splits and len(splits) > 1:
        raise UserError(f"sheet {sheet}: some lines have a split and some have none: fill in all or none")
