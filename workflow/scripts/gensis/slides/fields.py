"""What a slide's store holds beside its tiles. docs/artifacts.md lists the same fields."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from gensis.settings.datasets import Tiling
from gensis.slides.tiling import Layout

_THUMBNAIL_QUALITY = 85


def file_attributes(tiling: Tiling, layout: Layout | None) -> dict[str, Any]:
    """Attributes of the file; those of the slide are left out where it could not be laid out."""
    asked = {"target_mpp": tiling.mpp, "tissue_parameters": tiling.tissue.model_dump_json()}
    if layout is None:
        return asked
    width_level0, height_level0 = layout.size_level0
    tile_width_level0, tile_height_level0 = layout.plan.size_level0
    return asked | {
        "mpp_x": layout.resolution.mpp_x,
        "mpp_y": layout.resolution.mpp_y,
        "mpp_source": layout.resolution.source,
        "width_level0": width_level0,
        "height_level0": height_level0,
        "read_level": layout.plan.level,
        "read_width_px": layout.plan.width,
        "read_height_px": layout.plan.height,
        "tile_width_level0": tile_width_level0,
        "tile_height_level0": tile_height_level0,
        "tissue_method": layout.tissue_method,
    }


def columns(layout: Layout | None, kept: Sequence[int]) -> dict[str, np.ndarray]:
    """Columns with a row a tile, and the slide's thumbnail and tissue mask as the bytes of a JPEG and a PNG."""
    if layout is None:
        empty = np.zeros(0, np.uint8)
        return {
            "coords": np.zeros((0, 2), np.int64),
            "tissue_fraction": np.zeros(0, np.float32),
            "thumbnail": empty,
            "tissue_mask": empty,
        }
    rows = np.asarray(kept, np.int64)
    return {
        "coords": layout.coords[rows],
        "tissue_fraction": layout.tissue_fraction[rows],
        "thumbnail": _encoded(layout.thumbnail.image, format="JPEG", quality=_THUMBNAIL_QUALITY),
        "tissue_mask": _encoded(layout.tissue.astype(np.uint8) * 255, format="PNG"),
    }


def column_attributes(tiling: Tiling, layout: Layout | None) -> dict[str, dict[str, Any]]:
    """Attributes of the columns. Those of `coords` have the names that CLAM's and TRIDENT's users read."""
    if layout is None:
        return {"coords": {"patch_size": tiling.tile_px}}
    downsample = {"downsample": layout.thumbnail.downsample}
    return {
        "coords": {
            "patch_size": tiling.tile_px,
            "patch_size_level0": round(layout.plan.size_level0[0]),
            "patch_level": layout.plan.level,
        },
        "thumbnail": downsample,
        "tissue_mask": downsample,
    }


def _encoded(image: np.ndarray, **options: Any) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, **options)
    return np.frombuffer(stream.getvalue(), np.uint8)
