"""Attributes and columns of a slide's store. docs/artifacts.md lists them."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from gensis.settings.datasets import SCORES, Tiling
from gensis.slides.layout import KEPT, REASONS, UNREADABLE, Layout
from gensis.slides.units import Level0Px, Mpp, TilePx

_THUMBNAIL_QUALITY = 85
_FRACTIONS = tuple(name for name in SCORES if name != "focus")


def file_attributes(tiling: Tiling, layout: Layout | None) -> dict[str, Any]:
    """Attributes of the file; without those of the slide if it has no layout."""
    asked = {
        "target_mpp": tiling.mpp,
        "focus_mpp": tiling.focus_mpp,
        "tissue_parameters": tiling.tissue.model_dump_json(),
    }
    if layout is None:
        return asked
    width_level0, height_level0 = layout.size_level0
    tile_width_level0, tile_height_level0 = layout.plan.size_level0
    return asked | {
        "reader": layout.reader,
        "encoding": layout.encoding,
        "mpp_x": layout.resolution.mpp_x,
        "mpp_y": layout.resolution.mpp_y,
        "mpp_source": layout.resolution.source,
        "width_level0": width_level0,
        "height_level0": height_level0,
        "bounds_x_level0": layout.bounds_level0[0],
        "bounds_y_level0": layout.bounds_level0[1],
        "read_level": layout.plan.level,
        "read_width_px": layout.plan.width,
        "read_height_px": layout.plan.height,
        "tile_width_level0": tile_width_level0,
        "tile_height_level0": tile_height_level0,
        "tissue_method": layout.tissue_method,
    }


def columns(layout: Layout | None, given: Sequence[int], focus: Sequence[float]) -> dict[str, np.ndarray]:
    """Columns of the stored tiles and of the rejected tiles; thumbnail (JPEG) and tissue mask (PNG) as bytes.

    Args:
        layout: None if the slide has no layout.
        given: positions in the layout of the tiles that are stored.
        focus: focus scores of these tiles.
    """
    empty = np.zeros(0, np.uint8)
    coords, fractions = np.zeros((0, 2), np.int64), dict.fromkeys(_FRACTIONS, np.zeros(0, np.float32))
    status, thumbnail, tissue = empty, empty, empty
    if layout is not None:
        coords, fractions, status = layout.coords, layout.fractions, _final_status(layout, given)
        thumbnail = _encoded(layout.thumbnail.image, format="JPEG", quality=_THUMBNAIL_QUALITY)
        tissue = _encoded(layout.tissue.astype(np.uint8) * 255, format="PNG")
    kept, rejected = np.asarray(given, np.int64), np.flatnonzero(status != KEPT)
    return {
        "coords": coords[kept],
        **{name: fractions[name][kept] for name in _FRACTIONS},
        "focus": np.asarray(focus, np.float32),
        "rejected_coords": coords[rejected],
        "rejected_reason": status[rejected],
        **{f"rejected_{name}": fractions[name][rejected] for name in _FRACTIONS},
        "thumbnail": thumbnail,
        "tissue_mask": tissue,
    }


def _final_status(layout: Layout, given: Sequence[int]) -> np.ndarray:
    """Status of each tile of the grid, with tiles that could not be read marked as unreadable."""
    status = layout.status.copy()
    status[status == KEPT] = UNREADABLE
    status[np.asarray(given, np.int64)] = KEPT
    return status


def column_attributes(tiling: Tiling, layout: Layout | None) -> dict[str, dict[str, Any]]:
    """Attributes of the columns. Those of `coords` have the names used by CLAM and TRIDENT."""
    reasons = {"rejected_reason": {"reasons": list(REASONS)}}
    if layout is None:
        return {"coords": {"patch_size": tiling.tile_px}} | reasons
    downsample = {"downsample": layout.thumbnail.downsample}
    return reasons | {
        "coords": {
            "patch_size": tiling.tile_px,
            "patch_size_level0": round(layout.plan.size_level0[0]),
            "patch_level": layout.plan.level,
            **magnifications(
                layout.resolution.mpp_x, tile_px=tiling.tile_px, tile_width_level0=layout.plan.size_level0[0]
            ),
        },
        "thumbnail": downsample,
        "tissue_mask": downsample,
    }


def magnifications(mpp_x: Mpp, *, tile_px: TilePx, tile_width_level0: Level0Px) -> dict[str, float]:
    """Magnifications of level 0 and of the tiles, from which TRIDENT computes the area that it reads.

    TRIDENT takes 10 / magnification as um/px, and reads a side of tile_px * level0_magnification / target_magnification
    px of level 0. Therefore the second is that of the stored tiles, not of the requested resolution: a level within
    `mpp_tolerance` is stored as it is.
    """
    level0 = 10 / mpp_x
    return {"level0_magnification": level0, "target_magnification": level0 * tile_px / tile_width_level0}


def _encoded(image: np.ndarray, **options: Any) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, **options)
    return np.frombuffer(stream.getvalue(), np.uint8)
