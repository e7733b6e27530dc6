"""The files of one slide."""

import functools
import os
from pathlib import Path

from gensis.slides.dicom import PREFIX_BYTES, is_dicom, read_header
from gensis.slides.ome_zarr import METADATA, zarr_images
from gensis.slides.outcomes import Unusable

_SERIES_WITHIN_BYTES = 1 << 14  # thousands of headers are read whenever the pipeline is planned


def slide_files(path: str) -> tuple[str, ...]:
    """All files of a slide, to notice that it changed: most slides are one file, some formats consist of several.

    MIRAX: also the data folder next to the file. DICOM: all files of the folder, or if a `.dcm` file is named, those
    of its series with that suffix, and those whose series cannot be read. OME-Zarr: metadata, and the chunks of the
    coarsest level only, since there may be 100,000 others. Hamamatsu VMS and VMU: the files of the folder whose names
    begin with the slide's name.
    """
    if os.path.isdir(path):
        return _zarr_files(path) if _is_zarr(path) else tuple(filter(os.path.isfile, _files(path)))
    stem, suffix = os.path.splitext(path)
    match suffix.lower():
        case ".mrxs":
            return path, *_files(stem)
        case ".dcm":
            return _instances(path)
        case ".vms" | ".vmu":
            return _files(os.path.dirname(path), prefix=os.path.basename(stem))
    return (path,)


def main_file(path: Path) -> Path:
    """The file that tells the format: of a folder its Zarr metadata or largest DICOM file, else the path itself.

    The largest DICOM file is part of the finest level; labels and macros may have other pixel formats.
    """
    if not path.is_dir():
        return path
    if metadata := [path / name for name in METADATA if (path / name).is_file()]:
        return metadata[0]
    return max(filter(_is_dicom, sorted(path.iterdir())), key=os.path.getsize, default=path)


def identifying_files(path: Path) -> tuple[Path, ...]:
    """Files whose beginnings tell a slide from others; the metadata of two OME-Zarr slides may be the same."""
    if _is_zarr(os.fspath(path)):
        return tuple(map(Path, slide_files(os.fspath(path))))
    return (main_file(path),)


def _is_dicom(file: Path) -> bool:
    if not file.is_file():
        return False
    with open(file, "rb") as stream:
        return is_dicom(stream.read(PREFIX_BYTES))


def _is_zarr(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in METADATA)


def _instances(path: str) -> tuple[str, ...]:
    folder, name = os.path.split(path)
    series = _series_of_files(folder)
    own = series.get(os.path.join(folder, name), "")
    return tuple(file for file, of in series.items() if not own or of in (own, ""))


@functools.cache  # a folder may hold many slides
def _series_of_files(folder: str) -> dict[str, str]:
    """SeriesInstanceUID of each `.dcm` file of a folder; empty if it cannot be read."""
    return {file: _series(Path(file)) for file in _files(folder, suffix=".dcm")}


def _series(file: Path) -> str:
    try:
        header = read_header(file, _SERIES_WITHIN_BYTES)
    except OSError:  # tiling reports it
        return ""
    return header.series if header else ""


@functools.cache
def _zarr_files(folder: str) -> tuple[str, ...]:
    try:
        levels = [image.levels for image in zarr_images(Path(folder))]
    except (Unusable, OSError, ValueError, LookupError, TypeError, AttributeError):  # tiling reports it
        levels = []
    groups = {Path(folder), *(level.parent for pyramid in levels for level in pyramid)}
    arrays = {level for pyramid in levels for level in pyramid}
    metadata = [each / name for each in groups | arrays for name in (*METADATA, ".zarray") if (each / name).is_file()]
    coarsest = [file for pyramid in levels for file in pyramid[-1].rglob("*") if file.is_file()]
    return tuple(sorted(set(map(str, metadata + coarsest))))


@functools.cache  # a folder may hold many slides
def _files(folder: str, prefix: str = "", suffix: str = "") -> tuple[str, ...]:
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:  # for instance a MIRAX slide without its folder
        return ()
    chosen = (name for name in names if name.startswith(prefix) and name.lower().endswith(suffix))
    return tuple(os.path.join(folder, name) for name in chosen)
