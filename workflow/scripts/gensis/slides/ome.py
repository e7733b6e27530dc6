"""OME-XML, the description in an OME-TIFF: size and resolution of each image (slide, label, macro, ...)."""

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from gensis.slides.units import Mpp

# Symbols of UnitsLength in the OME schema; micro is written with either of two characters, or with u.
_UM_PER_UNIT = {
    "m": 1e6,
    "dm": 1e5,
    "cm": 1e4,
    "mm": 1e3,
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,
    "um": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "\u00c5": 1e-4,
    "in": 25_400.0,
}


@dataclass(frozen=True)
class OmeImage:
    """One image of the file."""

    size: tuple[int, int]
    """Width and height in px; 0 if not stated."""
    mpp_x: Mpp | None
    """um/px; None if not stated, or if the unit is not a length, such as `pixel`."""
    mpp_y: Mpp | None


def ome_images(text: str) -> list[OmeImage]:
    """The images described in OME-XML, in order; empty for any other text."""
    # A DOCTYPE can define entities that expand to gigabytes, and no OME-XML has one.
    if "OME" not in text or "<!DOCTYPE" in text:
        return []
    try:
        root = ElementTree.fromstring(text.strip(" \r\n\t\0\ufeff"))
    except (ElementTree.ParseError, ValueError):
        return []
    if root.tag.rpartition("}")[2] != "OME":
        return []
    return [_image(pixels) for pixels in root.iterfind("{*}Image/{*}Pixels")]


def image_of_size(images: list[OmeImage], size: tuple[int, int]) -> OmeImage | None:
    """The first image of this width and height in px; if there is none, the largest image."""
    of_size = [image for image in images if image.size == size and all(size)]
    return max(of_size or images, key=lambda image: math.prod(image.size), default=None)


def _image(pixels: ElementTree.Element) -> OmeImage:
    width, height = (int(number(pixels.get(f"Size{axis}")) or 0) for axis in "XY")
    return OmeImage((width, height), _um(pixels, "X"), _um(pixels, "Y"))


def _um(pixels: ElementTree.Element, axis: str) -> Mpp | None:
    size = number(pixels.get(f"PhysicalSize{axis}"))
    um_per_unit = _UM_PER_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "um"))
    return None if size is None or um_per_unit is None else Mpp(size * um_per_unit)


def number(text: str | None) -> float | None:
    """Parse a positive number; None for any other text. Some vendors write a decimal comma."""
    try:
        value = float((text or "").replace(",", "."))
    except ValueError:
        return None
    return value if 0 < value < math.inf else None
