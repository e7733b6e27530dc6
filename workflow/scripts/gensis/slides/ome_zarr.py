"""Metadata of OME-Zarr images, versions 0.4 and 0.5 (ngff.openmicroscopy.org): JSON files, read without zarr."""

import json
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from gensis.slides.outcomes import Unusable
from gensis.slides.units import Mpp

METADATA = ("zarr.json", ".zattrs")
"""Files with a folder's attributes: of Zarr 3 (OME-Zarr 0.5) and of Zarr 2 (0.4)."""
_VERSIONS = ("0.4", "0.5")
_UM_PER_UNIT = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    "inch": 25_400.0,
}


@dataclass(frozen=True)
class ZarrImage:
    """One image: a pyramid of arrays."""

    axes: str
    """The array's dimensions, a letter each of `tczyx`."""
    levels: tuple[Path, ...]
    """Folder of each level's array, finest first."""
    mpp_x: Mpp | None
    """um/px of the finest level; None if the metadata name no unit of length."""
    mpp_y: Mpp | None


def zarr_images(folder: Path) -> list[ZarrImage]:
    """The images of a folder: one, or those of bioformats2raw's layout, where label and macro stand beside the slide.

    Raises:
        Unusable: `unsupported`: another version of OME-Zarr, or other axes.
        OSError, ValueError, KeyError, TypeError, ...: the metadata are damaged.
    """
    attributes = _attributes(folder)
    if "bioformats2raw.layout" in attributes:
        return [_image(series) for series in _series(folder)]
    return [_image(folder)]


def _series(folder: Path) -> list[Path]:
    if named := _attributes(folder / "OME").get("series"):
        return [folder / name for name in named]
    return list(takewhile(Path.is_dir, (folder / str(number) for number in count())))


def _attributes(folder: Path) -> dict[str, Any]:
    """OME's attributes of a folder; empty if it has none."""
    for name in METADATA:
        if (folder / name).is_file():
            attributes = json.loads((folder / name).read_text(encoding="utf-8"))
            return attributes["attributes"].get("ome", {}) if name == "zarr.json" else attributes
    return {}


def _image(folder: Path) -> ZarrImage:
    attributes = _attributes(folder)
    if "multiscales" not in attributes:
        raise Unusable("unsupported", f"{folder.name} is no image of OME-Zarr: name the folder that has `multiscales`")
    image = attributes["multiscales"][0]
    version = attributes.get("version", image.get("version"))
    if version not in _VERSIONS:
        reason = f"it has version {version} of OME-Zarr, and {' and '.join(_VERSIONS)} are read: convert it"
        raise Unusable("unsupported", reason)
    names = [axis["name"] for axis in image["axes"]]
    if not set("yx") <= set(names) <= set("tczyx"):
        raise Unusable("unsupported", f"its axes are {', '.join(names)}, and t, c, z, y and x are read: convert it")
    first = image["datasets"][0]
    mpp_y, mpp_x = (
        _um(image["axes"][names.index(axis)], _scale(first, names.index(axis)) * _scale(image, names.index(axis)))
        for axis in "yx"
    )
    levels = tuple(folder / dataset["path"] for dataset in image["datasets"])
    return ZarrImage("".join(names), levels, mpp_x, mpp_y)


def _scale(of: dict[str, Any], axis: int) -> float:
    """Size of a px along an axis, of a level or in addition for all levels."""
    transformations = of.get("coordinateTransformations", [])
    return next((each["scale"][axis] for each in transformations if each["type"] == "scale"), 1.0)


def _um(axis: dict[str, Any], size: float) -> Mpp | None:
    um_per_unit = _UM_PER_UNIT.get(axis.get("unit", ""))
    return None if um_per_unit is None else Mpp(size * um_per_unit)
