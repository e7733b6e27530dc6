"""The tile grid of a slide, and which tiles to keep, decided on the thumbnail before tiles are read."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gensis.settings.datasets import Tiling
from gensis.slides.glass import is_dark_field, without_tint
from gensis.slides.grid import coverage, tile_origins
from gensis.slides.ink import find_ink
from gensis.slides.mask import read_mask
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.quality import find_artifacts
from gensis.slides.reader import Reader
from gensis.slides.resolution import ReadPlan, Resolution, plan_reading, slide_resolution
from gensis.slides.thumbnail import Thumbnail, read_thumbnail
from gensis.slides.tissue import find_tissue
from gensis.slides.units import BoundsLevel0, Downsample, Level0Px, LevelPx, Mpp, RasterPx, SizeLevel0, TilePx

REASONS = ("little_tissue", "pen", "not_chosen", "unreadable")
LITTLE_TISSUE, PEN, NOT_CHOSEN, UNREADABLE = range(len(REASONS))
KEPT = 255
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All tiles of a slide's grid, and their status."""

    reader: str
    """Kind of reader that opened the slide."""
    encoding: str
    """Codec of the tiles: as in the settings, but `jpeg` instead of `native` if the slide's own tiles do not fit."""
    chroma: str
    """Chroma subsampling of the pixels that are read, as in JPEG; `444` if they are resampled."""
    resolution: Resolution
    plan: ReadPlan
    size_level0: SizeLevel0
    """Width and height of the slide in px."""
    bounds_level0: BoundsLevel0
    """Left, top, right and bottom of its scanned area in px."""
    thumbnail: Thumbnail
    tissue: np.ndarray
    """bool (H, W), of the thumbnail's shape."""
    tissue_method: str
    """`otsu`, `none`, or `mask` if the user gave one."""
    coords: np.ndarray
    """int64 (N, 2): x and y of each tile's top-left corner in level-0 px, row by row."""
    fractions: dict[str, np.ndarray]
    """Name of a score -> float32 (N,), the fraction of each tile that is tissue, pen, ..."""
    status: np.ndarray
    """uint8 (N,): KEPT, or an index into REASONS."""
    remark: str
    """What the user should check, and what to do; empty if there is nothing to check."""

    @property
    def kept(self) -> np.ndarray:
        """Positions of the tiles to keep, int64."""
        return np.flatnonzero(self.status == KEPT)

    @property
    def failed(self) -> int:
        """Number of tiles whose tissue is unknown, since that part of the slide cannot be read."""
        return int((self.status == UNREADABLE).sum())


def lay_out(
    reader: Reader,
    tiling: Tiling,
    *,
    unit: str,
    sheet_mpp: Mpp | None,
    mask: Path | None,
    drawn_on: str = "slide",
) -> Layout:
    """Find the tissue of a slide and the tiles on it.

    Args:
        reader: the slide.
        tiling: settings.
        unit: the slide's name; it seeds the selection of `tiles_per_slide`.
        sheet_mpp: um/px from the sheet.
        mask: file with the tissue mask, instead of `tiling.tissue.method`.
        drawn_on: what the mask covers, the `slide` or its `bounds`.

    Raises:
        Unusable: the slide's resolution is missing, wrong or too coarse, or no level has the right one; the slide is
            smaller than a tile, not a brightfield image, or unreadable; or the mask is missing or does not fit.
    """
    resolution = slide_resolution(reader.properties, sheet_mpp)
    plan = plan_reading(
        resolution,
        reader.downsamples,
        target_mpp=Mpp(tiling.mpp),
        tolerance=tiling.mpp_tolerance,
        tile_px=TilePx(tiling.tile_px),
        resample=tiling.resample,
    )
    area_level0_um2 = resolution.mpp_x * resolution.mpp_y
    thumbnail = read_thumbnail(reader, Downsample(tiling.tissue.mpp / area_level0_um2**0.5))
    coords = _grid(reader, plan)
    pixel_area_um2 = area_level0_um2 * thumbnail.downsample**2
    image = without_tint(thumbnail.image, has_gaps=reader.has_gaps)
    method = "mask" if mask else tiling.tissue.method
    if method == "otsu":
        tissue, pen, remark = _detected_tissue(thumbnail, image, pixel_area_um2, tiling.tissue.minimum_area_um2)
    else:
        tissue, pen, remark = _given_tissue(mask, drawn_on, reader, thumbnail), find_ink(image), ""
    covered = partial(_covered, coords=coords, plan=plan, downsample=thumbnail.downsample)
    maps = {"tissue_fraction": tissue} | find_artifacts(image, tissue=tissue, pen=pen, pixel_area_um2=pixel_area_um2)
    fractions = {name: covered(each).astype(np.float32) for name, each in maps.items()}
    status = _judge(fractions, tiling.tissue.minimum_fraction)
    if method == "otsu":
        status[covered(thumbnail.unread) > _ROUNDING] = UNREADABLE
    if tiling.tiles_per_slide:
        _choose(status, tiling.tiles_per_slide, unit)
    return Layout(
        reader=reader.kind,
        encoding=_encoding(reader, tiling, plan),
        chroma=reader.chroma(plan.level) if _is_exact(plan, tiling) else "444",
        resolution=resolution,
        plan=plan,
        size_level0=reader.size_level0,
        bounds_level0=reader.bounds_level0,
        thumbnail=thumbnail,
        tissue=tissue,
        tissue_method=method,
        coords=coords,
        fractions=fractions,
        status=status,
        remark="; ".join(filter(None, (reader.remark, remark))),
    )


def _grid(reader: Reader, plan: ReadPlan) -> np.ndarray:
    """Top-left corners of all tiles, int64 (N, 2): x and y in level-0 px.

    Raises:
        Unusable: the slide is smaller than a tile.
    """
    level_width, level_height = reader.level_sizes[plan.level]
    coords = tile_origins(
        reader.bounds_level0,
        (LevelPx(level_width), LevelPx(level_height)),
        downsample=plan.downsample,
        width=plan.width,
        height=plan.height,
    )
    if len(coords):
        return coords
    left, top, right, bottom = reader.bounds_level0
    width, height = plan.size_level0
    raise Unusable(
        "too_small",
        f"the slide has {right - left} x {bottom - top} px at full resolution, but a tile needs "
        f"{width:.0f} x {height:.0f}: lower the data set's tile_px or mpp, or leave the slide out",
    )


def _detected_tissue(
    thumbnail: Thumbnail, image: np.ndarray, pixel_area_um2: float, minimum_area_um2: float
) -> tuple[np.ndarray, np.ndarray, str]:
    """Tissue, ink and remark of `find_tissue`, in the ``image`` of a thumbnail without tint.

    Raises:
        Unusable: the background is black.
    """
    if is_dark_field(thumbnail.image, thumbnail.unread):
        raise Unusable("unsupported", f"its background is black, as in fluorescence; {BRIGHTFIELD_ONLY}")
    return find_tissue(image, pixel_area_um2=pixel_area_um2, minimum_area_um2=minimum_area_um2)


def _given_tissue(mask: Path | None, drawn_on: str, reader: Reader, thumbnail: Thumbnail) -> np.ndarray:
    """The user's mask; without a mask, everything."""
    if mask is None:
        return np.ones_like(thumbnail.unread)
    whole = (Level0Px(0), Level0Px(0), *reader.size_level0)
    area = reader.bounds_level0 if drawn_on == "bounds" else whole
    return read_mask(mask, area, thumbnail.downsample, thumbnail.unread.shape)


def _covered(mask: np.ndarray, *, coords: np.ndarray, plan: ReadPlan, downsample: Downsample) -> np.ndarray:
    """Fraction of each tile in which a mask of the thumbnail's shape is set, float64 (N,)."""
    left, top = (coords / downsample).T
    width, height = (RasterPx(side / downsample) for side in plan.size_level0)
    return coverage(mask, left=left, top=top, width=width, height=height)


def _encoding(reader: Reader, tiling: Tiling, plan: ReadPlan) -> str:
    is_native = _is_exact(plan, tiling) and reader.has_jpeg_tiles(plan.level, tiling.tile_px)
    return "jpeg" if tiling.encoding == "native" and not is_native else tiling.encoding


def _is_exact(plan: ReadPlan, tiling: Tiling) -> bool:
    """Whether tiles are read from the level without resampling."""
    return (plan.width, plan.height) == (tiling.tile_px, tiling.tile_px)


def _judge(fractions: dict[str, np.ndarray], minimum: float) -> np.ndarray:
    """Status of each tile by tissue: `pen` if the tile would be kept if the ink on it were tissue."""
    tissue, pen = fractions["tissue_fraction"], fractions["pen_fraction"]
    inked = (pen > 0) & (tissue + pen >= minimum)
    return np.where(tissue >= minimum, KEPT, np.where(inked, PEN, LITTLE_TISSUE)).astype(np.uint8)


def _choose(status: np.ndarray, count: int, unit: str) -> None:
    """Keep at most `count` tiles, always the same ones for a unit.

    Unreadable tiles are chosen among like the others, so that their fraction stays that of the slide.
    """
    seed = int.from_bytes(hashlib.sha256(unit.encode()).digest()[:8])
    wanted = np.flatnonzero(np.isin(status, (KEPT, UNREADABLE)))
    status[np.random.default_rng(seed).permutation(wanted)[count:]] = NOT_CHOSEN
