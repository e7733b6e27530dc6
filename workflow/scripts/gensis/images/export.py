"""Stored images as files for other programs; their encoded bytes are written as they are.

A table lists the images of a unit. It is written last: a unit without a table is not complete.
"""

import glob
import io
import json
import logging
import os
import shutil
import tarfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gensis.artifacts.files import written_atomically
from gensis.artifacts.tables import table_rows, write_table
from gensis.images.codec import PNG
from gensis.images.store import Store

UNLABELLED = "unlabelled"
"""Folder of the images that have no label."""
SPLITS = ("train", "test")
_ATTEMPTS = 20  # each fails only if another job removes the folder just then
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An image to write."""

    encoded: bytes
    """A JPEG or PNG."""
    values: Mapping[str, Any]
    """Its line of the table, without `file`: `image` (its name), `label` (may be empty), and further columns."""

    @property
    def file(self) -> str:
        """Name with the extension of its format."""
        return f"{self.values['image']}.{'png' if self.encoded.startswith(PNG) else 'jpg'}"


def image_name(unit: str, row: int) -> str:
    """Name of an image by its position in the store of a unit; the same in all tables."""
    return f"{unit}/{row:06d}"


def stored_images(store: Store, rows: np.ndarray, columns: Mapping[str, Sequence[Any]]) -> Iterator[Exported]:
    """The images of a store at some positions, int64 (n,), with values of columns that have one value per row."""
    for number, row in enumerate(rows.tolist()):
        values = {name: column[number] for name, column in columns.items()}
        yield Exported(
            encoded=store.read(row, row + 1)[0], values={"image": image_name(store.path.stem, row), **values}
        )


def read_labels(path: Path, images: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """The labels in `labels.tsv` of some images, each named by its unit and position; empty without a label.

    As in the evaluation of images, labels of whole units count only if no image has a label of its own. Labels of other
    images, of which there may be millions, are not held in memory.
    """
    own, whole, any_own = dict.fromkeys(images, ""), {}, False
    units = {unit for unit, _ in own}
    for line in table_rows(path):
        unit = line["unit"]
        if line["row"]:
            any_own = True
            if unit in units and (image := (unit, int(line["row"]))) in own:
                own[image] = line["label"]
        elif unit in units:
            whole[unit] = line["label"]
    return own if any_own else {image: whole.get(image[0], "") for image in own}


def write_folder(table: Path, images: Iterable[Exported], columns: Sequence[str]) -> None:
    """Write `<class>/<unit>/<row>.<type>` beside the table `<unit>.tsv`, in place of an earlier export of the unit.

    Args:
        table: the table to write.
        images: of this unit.
        columns: names of their values.
    """
    _remove_folders(table)

    def written() -> Iterator[list[Any]]:
        for image in images:
            file = f"{_folder_name(image.values['label'])}/{image.file}"
            _write(table.parent / file, image.encoded)
            yield [file, *(image.values[name] for name in columns)]
        os.sync()  # once, before the table says that all are there: a sync of each file takes ten times as long

    write_table(table, ("file", *columns), written())


def remove_exported(table: Path) -> None:
    """Remove an exported unit: its images or its tar, then its table."""
    _remove_folders(table)
    table.with_suffix(".tar").unlink(missing_ok=True)
    table.unlink(missing_ok=True)


def remove_unlisted(folder: Path, listed: Container[tuple[str, str]]) -> None:
    """Remove exported units that the data set does not have any more, or has in the other split.

    Args:
        folder: of the format, with a folder for each split.
        listed: split and name of each unit.
    """
    for split in SPLITS:
        for table in (folder / split).glob("*.tsv"):
            if (split, table.stem) not in listed and _is_of_export(table):
                log.info("removing the export of %s: %s does not have it any more", table.stem, split)
                remove_exported(table)


def write_tar(table: Path, images: Iterable[Exported], columns: Sequence[str]) -> None:
    """Write `<unit>.tar` beside the table; each image is followed by its values, as JSON with the same basename.

    The same images give the same bytes. Arguments as those of `write_folder`.
    """
    lines = []
    with written_atomically(table.with_suffix(".tar")) as temporary, tarfile.open(temporary, "w") as tar:
        for image in images:
            _add(tar, image.file, image.encoded)
            _add(tar, f"{image.values['image']}.json", json.dumps(image.values, ensure_ascii=False).encode())
            lines.append([image.file, *(image.values[name] for name in columns)])
    write_table(table, ("file", *columns), lines)


WRITERS = {"folder": write_folder, "webdataset": write_tar}


def _is_of_export(table: Path) -> bool:
    """Whether a table lists exported images; it may be somebody's own file."""
    try:
        with open(table, encoding="utf-8") as stream:
            return stream.readline().startswith("file\timage\t")
    except (FileNotFoundError, UnicodeDecodeError):  # another job has removed it
        return False


def _remove_folders(table: Path) -> None:
    """Remove the images that `write_folder` wrote, and folders of classes that are then empty."""
    for earlier in table.parent.glob(f"*/{glob.escape(table.stem)}"):
        shutil.rmtree(earlier, ignore_errors=True)  # another job may remove them too
        with suppress(OSError):  # other units have images of this class
            earlier.parent.rmdir()


def _write(path: Path, content: bytes) -> None:
    """Write a file, whose folder another job may remove while it is empty: they share the folders of the classes."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return
        except FileNotFoundError:
            if attempt == _ATTEMPTS:
                raise


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # without date and owner
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _folder_name(label: str) -> str:
    """A label as the name of one folder: characters that no name can have are percent-encoded."""
    name = label.replace("%", "%25").replace("/", "%2F") or UNLABELLED
    return f"%2E{name[1:]}" if name.startswith(".") else name
