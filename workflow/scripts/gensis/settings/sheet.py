"""Sample sheets: CSV files that list slides or image files."""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from gensis.errors import UserError
from gensis.settings.base import checked_name, checked_path
from gensis.settings.datasets import FILE_COLUMNS, SLIDE_COLUMNS
from gensis.settings.dates import refuse_future
from gensis.settings.spreadsheet import read_lines
from gensis.settings.targets import Target, columns_of, label_of

_MISSING = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "null", "none"})
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_SHOWN = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a sheet. Empty strings stand for absent values."""

    name: str
    """The slide's name; for image files their path as the sheet writes it."""
    path: str
    """Relative if inside the working directory, so that moving the repository reruns nothing; else absolute."""
    label: str = ""
    group: str = ""
    split: str = ""
    mpp: float | None = None
    mask: str = ""
    """Path of a tissue mask: an image of the whole slide, or GeoJSON."""
    annotations: str = ""
    """Path of a GeoJSON file whose classes label tiles."""
    targets: dict[str, str] = field(default_factory=dict)
    """Target -> the slide's label (`gensis.settings.targets.label_of`), for all targets."""

    @property
    def is_labelled(self) -> bool:
        """Whether it has a label, or one for a target."""
        return any((self.label, *self.targets.values()))


def read_sheet(
    sheet: Path,
    kind: str,
    columns: dict[str, str],
    will_exist: Callable[[str], bool] | None = lambda path: False,
    *,
    targets: Mapping[str, Target] = {},
    folder: str = ".",
) -> list[Row]:
    """Read and check a sheet.

    Args:
        sheet: the CSV file, as `read_lines` takes it.
        kind: ``slides`` or ``files``.
        columns: standard column name -> name in this sheet.
        will_exist: whether a rule makes a path that does not exist. None: the files were checked before, and are not
            looked at.
        targets: further columns of a sheet of slides that are predicted.
        folder: that its paths start from, relative to the sheet.

    Raises:
        UserError: missing sheet, column or file, duplicate column, duplicate or invalid name, a group in two
            splits, a file dated in the future.
    """
    known = SLIDE_COLUMNS if kind == "slides" else FILE_COLUMNS
    further = columns_of(targets)
    lines = _read_lines(sheet, (*known, *further), columns, needed=further)
    place = sheet.parent / folder
    rows = [
        _parse_row(f"sheet {sheet} line {number}", place, line, kind=kind, targets=targets) for number, line in lines
    ]
    if not rows:
        raise UserError(f"sheet {sheet} has no lines: add one for each {kind.removesuffix('s')}")
    _check_rows(sheet, rows)
    if will_exist:
        _check_files(sheet, rows, will_exist)
    for column in ("label", "group"):
        _warn_of_lookalikes(sheet, column, (getattr(row, column) for row in rows))
    for name in (name for name, target in targets.items() if target == "classification"):
        _warn_of_lookalikes(sheet, name, (row.targets[name] for row in rows))
    return rows


def _read_lines(
    sheet: Path, known: tuple[str, ...], columns: dict[str, str], needed: tuple[str, ...]
) -> list[tuple[int, dict[str, str]]]:
    """Number of each line and its cells by their standard names, empty where they are absent and not needed."""
    unknown = set(columns) - set(known)
    if unknown:
        raise UserError(f"columns: '{min(unknown)}' is not one of {', '.join(known)}: correct the data set's `columns`")
    header, *lines = read_lines(sheet) or [(1, [])]
    names = header[1]
    columns = {name: column.strip() for name, column in columns.items()}
    used = {name: columns.get(name, name) for name in known}
    for name in ("slide", "path", *columns, *needed):
        if name in known and used[name] not in names:
            raise UserError(
                f"sheet {sheet} has no column '{used[name]}' (it has: {', '.join(names)}): "
                f"add it, or name the right one with `columns: {{{name}: ...}}`"
            )
    _refuse_twins(sheet, names, known, columns)
    if unused := [name for name in names if name and name not in used.values()]:
        log.warning(
            "sheet %s: columns not used: %s: if one of them is the label or group, set `columns: {group: ...}`",
            sheet,
            ", ".join(unused),
        )
    found = []
    for number, cells in lines:
        if any(cells[len(names) :]):
            raise UserError(
                f"sheet {sheet} line {number} has {len(cells)} cells, the first line has {len(names)}: "
                "put quotes around cells that contain a separator"
            )
        line = dict(zip(names, cells))
        found.append((number, {name: line.get(column, "") for name, column in used.items()}))
    return found


def _refuse_twins(sheet: Path, names: list[str], known: tuple[str, ...], columns: dict[str, str]) -> None:
    """Refuse duplicate columns, also if they differ only in case, unless `columns` selects one."""
    for name in known:
        column = columns.get(name, name)
        twins = [each for each in names if each == column or (name not in columns and each.casefold() == column)]
        if column in twins and len(twins) > 1:
            raise UserError(
                f"sheet {sheet} has the column '{column}' {len(twins)} times ({', '.join(twins)}): "
                "rename or remove all but the right one"
            )


def _warn_of_lookalikes(sheet: Path, column: str, values: Iterable[str]) -> None:
    """Warn of values that are probably the same or probably mean a missing value. They are used as written."""
    alike: dict[str, list[str]] = {}
    for value in sorted({value for value in values if value}):
        alike.setdefault(_essence(value), []).append(repr(value))
    missing = [value for essence, values in alike.items() if essence in _MISSING for value in values]
    if missing:
        log.warning(
            "sheet %s: %s %s used as written: leave the cell empty if the value is unknown",
            sheet,
            column,
            " and ".join(missing),
        )
    several = [" and ".join(values) for essence, values in alike.items() if len(values) > 1 and essence not in _MISSING]
    if several:
        more = f" (and {len(several) - _SHOWN} more)" if len(several) > _SHOWN else ""
        log.warning(
            "sheet %s: %s %s%s are different values: if they mean the same, write them alike",
            sheet,
            column,
            "; ".join(several[:_SHOWN]),
            more,
        )


def _essence(value: str) -> str:
    """Normalised value: equal for values that differ only in case, spaces, or leading and trailing zeros."""
    if _NUMBER.fullmatch(value):
        return str(Decimal(value).normalize())
    return " ".join(value.casefold().split())


def _parse_row(where: str, folder: Path, line: dict[str, str], *, kind: str, targets: Mapping[str, Target]) -> Row:
    if not line["path"]:
        raise UserError(f"{where}: path is empty: fill it in or remove the line")
    try:
        name = checked_name(line["slide"]) if kind == "slides" else line["path"]
        path = _placed(folder, checked_path(line["path"]))
        mask, annotations = (
            _placed(folder, checked_path(line[column])) if line.get(column) else ""
            for column in ("mask", "annotations")
        )
        labels = {name: label_of(name, target, line) for name, target in targets.items()}
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    mpp = None
    if line.get("mpp"):
        try:
            mpp = float(line["mpp"])
        except ValueError:
            raise UserError(f"{where}: mpp '{line['mpp']}' is not a number: write um/px, such as 0.5") from None
        if not 0.05 <= mpp <= 20:
            raise UserError(f"{where}: mpp {mpp} is outside 0.05 to 20 um/px: correct it or leave it empty")
    return Row(
        name=name,
        path=path,
        label=line["label"],
        group=line["group"],
        split=line["split"],
        mpp=mpp,
        mask=mask,
        annotations=annotations,
        targets=labels,
    )


def _placed(folder: Path, path: str) -> str:
    absolute = os.path.abspath(folder / path)
    relative = os.path.relpath(absolute)
    return absolute if relative.startswith("..") else relative


def _check_rows(sheet: Path, rows: list[Row]) -> None:
    name, count = Counter(row.name for row in rows).most_common(1)[0]
    if count > 1:
        raise UserError(f"sheet {sheet} lists '{name}' {count} times: give each line a different name")
    split_of: dict[str, str] = {}
    for row in rows:
        if row.split not in ("", "train", "test"):
            raise UserError(f"sheet {sheet}: split '{row.split}' of '{row.name}' is not 'train' or 'test': correct it")
        if row.group and split_of.setdefault(row.group, row.split) != row.split:
            raise UserError(
                f"sheet {sheet}: group '{row.group}' is in two splits, '{split_of[row.group]}' and '{row.split}': "
                "put all lines of a group into one split, or test data leak into training"
            )
    splits = {row.split for row in rows}
    if "" in splits and len(splits) > 1:
        raise UserError(f"sheet {sheet}: some lines have a split and some have none: fill in all or none of them")


def _check_files(sheet: Path, rows: list[Row], will_exist: Callable[[str], bool]) -> None:
    dates = {str(sheet): os.stat(sheet).st_mtime}
    for row in rows:
        for path in filter(None, (row.path, row.mask, row.annotations)):
            try:
                dates[path] = os.stat(path).st_mtime
            except (FileNotFoundError, NotADirectoryError):
                if not will_exist(path):
                    raise UserError(
                        f"sheet {sheet}: {path} of '{row.name}' does not exist: correct the path or remove the line"
                    ) from None
            except OSError as error:
                raise UserError(f"sheet {sheet}: {path} of '{row.name}': {error.strerror}: fix this") from None
    refuse_future(dates)
