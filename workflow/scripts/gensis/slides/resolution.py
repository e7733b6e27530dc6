"""The resolution of a slide, and the level of its pyramid to read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gensis.slides.outcomes import Unusable

SMALLEST_MPP, LARGEST_MPP = 0.05, 20.0
_UM_PER_UNIT = {"inch": 25_400.0, "centimeter": 10_000.0}
_REPAIR = "add the column mpp (um/px at full resolution) to the sheet"


@dataclass(frozen=True)
class Resolution:
    """Size of a level-0 pixel in um, and where it was read: `sheet`, `openslide` or `tiff`."""

    mpp_x: float
    mpp_y: float
    source: str


def slide_resolution(properties: Mapping[str, str], sheet_mpp: float | None = None) -> Resolution:
    """Resolution of a slide from the first that has one: the sheet, OpenSlide's own property, the tags of a TIFF.

    Args:
        properties: OpenSlide's properties of the slide.
        sheet_mpp: um/px as the sheet states it; it overrides the file.

    Raises:
        Unusable: `missing_mpp`, or `wrong_mpp` where no microscope has such a resolution.
    """
    found = _from_sheet(sheet_mpp) or _from_openslide(properties) or _from_tiff_tags(properties)
    if found is None:
        raise Unusable("missing_mpp", f"the file does not state its resolution: {_REPAIR}")
    if not all(SMALLEST_MPP <= mpp <= LARGEST_MPP for mpp in (found.mpp_x, found.mpp_y)):
        raise Unusable(
            "wrong_mpp",
            f"{found.mpp_x:.5g} x {found.mpp_y:.5g} um/px (read from {found.source}) lies outside "
            f"{SMALLEST_MPP} to {LARGEST_MPP:.0f}: {_REPAIR}",
        )
    return found


def _from_sheet(mpp: float | None) -> Resolution | None:
    return None if mpp is None else Resolution(mpp, mpp, "sheet")


def _from_openslide(properties: Mapping[str, str]) -> Resolution | None:
    mpp_x = _number(properties.get("openslide.mpp-x"))
    mpp_y = _number(properties.get("openslide.mpp-y"))
    if mpp_x is None and mpp_y is None:
        return None
    return Resolution(mpp_x or mpp_y, mpp_y or mpp_x, "openslide")


def _from_tiff_tags(properties: Mapping[str, str]) -> Resolution | None:
    um_per_unit = _UM_PER_UNIT.get(properties.get("tiff.ResolutionUnit", ""))
    px_per_unit_x = _number(properties.get("tiff.XResolution"))
    px_per_unit_y = _number(properties.get("tiff.YResolution")) or px_per_unit_x
    if um_per_unit is None or px_per_unit_x is None:
        return None
    return Resolution(um_per_unit / px_per_unit_x, um_per_unit / px_per_unit_y, "tiff")


def _number(text: str | None) -> float | None:
    """A positive number, or None for anything else that vendors write."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


@dataclass(frozen=True)
class ReadPlan:
    """How the pixels of a tile are read."""

    level: int
    downsample: float
    """Level-0 px per px of the level."""
    width: float
    """Width of a tile in px of the level, not necessarily whole."""
    height: float

    @property
    def stride(self) -> tuple[int, int]:
        """Whole px of the level from a tile to the next, in x and y."""
        return math.ceil(self.width), math.ceil(self.height)

    @property
    def size_level0(self) -> tuple[float, float]:
        """Width and height of a tile in level-0 px."""
        return self.width * self.downsample, self.height * self.downsample


def plan_reading(
    resolution: Resolution, downsamples: Sequence[float], target_mpp: float, tolerance: float, tile_px: int
) -> ReadPlan:
    """Choose the level: one at the target resolution is read as it is, else the nearest finer one is resampled.

    Args:
        resolution: of level 0.
        downsamples: of each level, rising.
        target_mpp: wanted um/px.
        tolerance: fraction of the target within which a level counts as being at it.
        tile_px: side of a tile in px at the target.

    Raises:
        Unusable: `too_coarse`, since slides are never upsampled.
    """
    ratios = [(resolution.mpp_x * d / target_mpp, resolution.mpp_y * d / target_mpp) for d in downsamples]
    deviations = [max(abs(x - 1), abs(y - 1)) for x, y in ratios]
    closest = min(range(len(ratios)), key=deviations.__getitem__)
    if deviations[closest] <= tolerance + 1e-9:
        return ReadPlan(closest, downsamples[closest], float(tile_px), float(tile_px))
    finer = [level for level, ratio in enumerate(ratios) if max(ratio) <= 1]
    if not finer:
        finest = max(resolution.mpp_x, resolution.mpp_y)
        raise Unusable(
            "too_coarse",
            f"its finest level has {finest:.4g} um/px and the data set asks for {target_mpp:.4g}: "
            "slides are never upsampled, so set the data set's `mpp` to what all slides have, or leave this one out",
        )
    level = finer[-1]
    # Rounded, so that 512.0000000001 does not read a 513th pixel.
    width, height = (round(tile_px / ratio, 6) for ratio in ratios[level])
    return ReadPlan(level, downsamples[level], width, height)
