"""The resolution of a slide, and the pyramid level to read."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gensis.slides.ome import image_of_size, number, ome_images
from gensis.slides.outcomes import Unusable
from gensis.slides.units import Downsample, Level0Px, LevelPx, Mpp, SizeLevel0, TilePx

SMALLEST_MPP, LARGEST_MPP = 0.05, 20.0
SOURCES = {
    "sheet": "the sheet's column mpp",
    "ome-xml": "its OME-XML",
    "openslide": "its vendor's metadata, through OpenSlide",
    "metadata": "its metadata",
    "comment": "its description",
    "tiff": "its TIFF resolution tags",
}
_REPAIR = "state the true um/px at full resolution in the sheet's column mpp"
_UM_PER_TIFF_UNIT = {"inch": 25_400.0, "centimeter": 10_000.0}
# ImageJ states px per unit in the TIFF tags and names the unit in the description, not in the tags.
_UM_PER_IMAGEJ_UNIT = {
    "micron": 1.0,
    "microns": 1.0,
    "um": 1.0,
    "\u00b5m": 1.0,
    r"\u00B5m": 1.0,  # as ImageJ escapes it
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "inch": 25_400.0,
}
# Aperio's field, which other vendors copy, and Ventana's attribute of iScan; both in um/px, for both axes.
_MPP_IN_COMMENT = re.compile(r"(?:^|[|;\s])MPP\s*=\s*([^\s|;]+)")
_SCAN_RES_IN_COMMENT = re.compile(r"""\bScanRes\s*=\s*["']([^"']+)["']""")


@dataclass(frozen=True)
class Resolution:
    """Size of a level-0 pixel in um, and its source, one of `SOURCES`."""

    mpp_x: Mpp
    mpp_y: Mpp
    source: str


def slide_resolution(properties: Mapping[str, str], sheet_mpp: Mpp | None = None) -> Resolution:
    """Resolution of a slide from the most specific source that states it.

    In this order: the sheet, OME-XML, OpenSlide's property, the metadata of a format that OpenSlide does not read, the
    vendor's line in the description, TIFF tags. An implausible value is refused even if a less specific source has a
    plausible one: the user must decide between two sources that disagree. TIFF tags come last because programs fill
    them with 72 dpi. If a source states one axis only, pixels are taken as square.

    Args:
        properties: metadata under OpenSlide's names.
        sheet_mpp: um/px from the sheet; overrides the file.

    Raises:
        Unusable: `missing_mpp`, or `wrong_mpp` if no microscope has such a resolution.
    """
    found = (
        _from_sheet(sheet_mpp)
        or _from_ome_xml(properties)
        or _from_openslide(properties)
        or _from_metadata(properties)
        or _from_comment(properties)
        or _from_tiff_tags(properties)
    )
    if found is None:
        raise Unusable("missing_mpp", f"the file does not state its resolution: {_REPAIR}")
    if not all(SMALLEST_MPP <= mpp <= LARGEST_MPP for mpp in (found.mpp_x, found.mpp_y)):
        raise Unusable(
            "wrong_mpp",
            f"its resolution, {found.mpp_x:.5g} x {found.mpp_y:.5g} um/px (from {SOURCES[found.source]}), is outside "
            f"{SMALLEST_MPP} to {LARGEST_MPP:.0f}: {_REPAIR}",
        )
    return found


def _resolution(mpp_x: float | None, mpp_y: float | None, source: str) -> Resolution | None:
    """If one axis is not stated, the other is used for both."""
    if mpp_x is None and mpp_y is None:
        return None
    return Resolution(Mpp(mpp_x or mpp_y), Mpp(mpp_y or mpp_x), source)


def _from_sheet(mpp: Mpp | None) -> Resolution | None:
    return None if mpp is None else Resolution(mpp, mpp, "sheet")


def _from_ome_xml(properties: Mapping[str, str]) -> Resolution | None:
    """Resolution of the image that has the slide's size: label and macro may come before it."""
    size = tuple(int(properties.get(f"openslide.level[0].{side}", 0)) for side in ("width", "height"))
    for text in _descriptions(properties):
        image = image_of_size(ome_images(text), size)
        if image is not None:
            return _resolution(image.mpp_x, image.mpp_y, "ome-xml")
    return None


def _from_openslide(properties: Mapping[str, str]) -> Resolution | None:
    if _is_generic_tiff(properties):
        return None
    mpp_x, mpp_y = (number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    return _resolution(mpp_x, mpp_y, "openslide")


def _from_metadata(properties: Mapping[str, str]) -> Resolution | None:
    return _resolution(*(number(properties.get(f"gensis.mpp-{axis}")) for axis in "xy"), "metadata")


def _is_generic_tiff(properties: Mapping[str, str]) -> bool:
    """Whether OpenSlide detects no vendor: its mpp is then read from the TIFF tags."""
    return properties.get("openslide.vendor") == "generic-tiff"


def _from_comment(properties: Mapping[str, str]) -> Resolution | None:
    candidates = [properties.get("aperio.MPP"), properties.get("ventana.ScanRes")]
    for text in _descriptions(properties):
        candidates += [
            match[1] for pattern in (_MPP_IN_COMMENT, _SCAN_RES_IN_COMMENT) if (match := pattern.search(text))
        ]
    mpp = next((value for value in map(number, candidates) if value is not None), None)
    return Resolution(Mpp(mpp), Mpp(mpp), "comment") if mpp is not None else _from_imagej(properties)


def _from_imagej(properties: Mapping[str, str]) -> Resolution | None:
    for text in _descriptions(properties):
        unit = re.search(r"^unit=(\S+)", text, re.MULTILINE) if text.startswith("ImageJ=") else None
        if unit and unit[1] in _UM_PER_IMAGEJ_UNIT:
            return _resolution(*_um_per_px(properties, _UM_PER_IMAGEJ_UNIT[unit[1]]), "comment")
    return None


def _descriptions(properties: Mapping[str, str]) -> list[str]:
    """Free-text descriptions of the file, without duplicates."""
    texts = (properties.get(key, "") for key in ("tiff.ImageDescription", "openslide.comment"))
    return list(dict.fromkeys(text for text in texts if text))


def _from_tiff_tags(properties: Mapping[str, str]) -> Resolution | None:
    um_per_unit = _UM_PER_TIFF_UNIT.get(properties.get("tiff.ResolutionUnit", ""))
    return None if um_per_unit is None else _resolution(*_um_per_px(properties, um_per_unit), "tiff")


def _um_per_px(properties: Mapping[str, str], um_per_unit: float) -> tuple[float | None, float | None]:
    """um/px of both axes from the TIFF tags, which state px per unit."""
    px_per_unit = [number(properties.get(f"tiff.{axis}Resolution")) for axis in "XY"]
    mpp_x, mpp_y = (None if count is None else um_per_unit / count for count in px_per_unit)
    return mpp_x, mpp_y


@dataclass(frozen=True)
class ReadPlan:
    """The level and rectangle from which a tile is read."""

    level: int
    downsample: Downsample
    """Level-0 px per px of the level."""
    width: LevelPx
    """Width of a tile in px of the level, possibly fractional."""
    height: LevelPx

    @property
    def stride(self) -> tuple[int, int]:
        """Whole px of the level from one tile to the next, in x and y."""
        return math.ceil(self.width), math.ceil(self.height)

    @property
    def size_level0(self) -> SizeLevel0:
        """Width and height of a tile in level-0 px."""
        return Level0Px(self.width * self.downsample), Level0Px(self.height * self.downsample)


def plan_reading(
    resolution: Resolution,
    downsamples: Sequence[Downsample],
    *,
    target_mpp: Mpp,
    tolerance: float,
    tile_px: TilePx,
    resample: bool = True,
) -> ReadPlan:
    """Choose the level: one at the target resolution is read directly, otherwise the next finer one is resampled.

    Args:
        resolution: of level 0.
        downsamples: of each level, ascending.
        target_mpp: target resolution in um/px.
        tolerance: relative deviation from the target within which a level is read directly.
        tile_px: side of a tile in px at the target resolution.
        resample: whether a level that is not at the target resolution may be read.

    Raises:
        Unusable: `too_coarse`, since slides are never upsampled; without `resample`, `no_level`.
    """
    ratios = [(resolution.mpp_x * d / target_mpp, resolution.mpp_y * d / target_mpp) for d in downsamples]
    deviations = [max(abs(x - 1), abs(y - 1)) for x, y in ratios]
    closest = min(range(len(ratios)), key=deviations.__getitem__)
    if deviations[closest] <= tolerance + 1e-9:
        # At the target resolution, px of the level are px of the tile.
        return ReadPlan(closest, downsamples[closest], LevelPx(float(tile_px)), LevelPx(float(tile_px)))
    finer = [level for level, ratio in enumerate(ratios) if max(ratio) <= 1]
    if not finer:
        finest = max(resolution.mpp_x, resolution.mpp_y)
        raise Unusable(
            "too_coarse",
            f"its finest level has {finest:.4g} um/px, but the data set's mpp is {target_mpp:.4g}: slides are never "
            "upsampled, so raise the data set's mpp to a resolution that all slides have, or leave this slide out",
        )
    if not resample:
        levels = ", ".join(f"{max(pair) * target_mpp:.4g}" for pair in ratios)
        raise Unusable(
            "no_level",
            f"its levels have {levels} um/px, and none is within {tolerance:.0%} of the data set's mpp "
            f"{target_mpp:.4g}: set `resample: true`, choose the mpp of a level, or leave this slide out",
        )
    level = finer[-1]
    # Rounded, so that 512.0000000001 does not read a 513th pixel.
    width, height = (LevelPx(round(tile_px / ratio, 6)) for ratio in ratios[level])
    return ReadPlan(level, downsamples[level], width, height)
