"""Read the store of a slide for drawing: thumbnail, tissue mask, and the status of each tile of the grid."""

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from gensis.figures.tile_status import KEPT, LOW_QUALITY, NAMES
from gensis.images.store import Store
from gensis.images.thresholds import chosen_rows
from gensis.settings.datasets import SCORES, Quality


@dataclass(frozen=True)
class Grid:
    """All tiles of a slide, including those that were left out."""

    coords_level0: np.ndarray
    """int64 (T, 2): x and y of the tiles' top-left corners."""
    statuses: np.ndarray
    """uint8 (T,): indices into `gensis.figures.tile_status.NAMES`."""
    width_level0: float
    height_level0: float
    """Sides of a tile in level-0 px."""

    @cached_property
    def counts(self) -> dict[str, int]:
        """Name of a status -> number of tiles with it; statuses without tiles are not in it."""
        numbers = np.bincount(self.statuses, minlength=len(NAMES)).tolist()
        return {name: number for name, number in zip(NAMES, numbers) if number}


@dataclass(frozen=True, kw_only=True)
class SlideView:
    """A slide with a thumbnail and a grid of tiles."""

    thumbnail: Image.Image
    """RGB."""
    tissue: Image.Image | None
    """Mode L, of the thumbnail's size: 255 is tissue. None in stores without a mask."""
    downsample: float
    """Level-0 px per px of the thumbnail."""
    grid: Grid
    attributes: dict[str, Any]
    """Attributes of the store, and `patch_size`."""
    quality: Quality
    """The thresholds that decided which tiles have a low quality."""

    @property
    def tissue_part(self) -> float:
        """Fraction of the slide that is tissue."""
        return np.count_nonzero(self.tissue) / (self.tissue.width * self.tissue.height) if self.tissue else float("nan")


def read_slide(path: Path, quality: Quality = Quality(), is_used: bool = True) -> SlideView | None:
    """Read a slide's store.

    Args:
        path: the store.
        quality: thresholds of the data set, which decide the tiles that are used.
        is_used: whether any tile is used; False for a slide with more failed tiles than its data set allows.

    Returns:
        None where the slide could not be tiled, so that there is no thumbnail.
    """
    with Store(path) as store:
        file = store.file
        if "thumbnail" not in file or not len(file["thumbnail"]):
            return None
        thumbnail = Image.open(io.BytesIO(file["thumbnail"][:].tobytes())).convert("RGB")
        has_mask = "tissue_mask" in file and len(file["tissue_mask"])
        tissue = Image.open(io.BytesIO(file["tissue_mask"][:].tobytes())).convert("L") if has_mask else None
        downsample = float(file["thumbnail"].attrs["downsample"])
        attributes = {"patch_size": file["coords"].attrs["patch_size"], **file.attrs}
        return SlideView(
            thumbnail=thumbnail,
            tissue=tissue,
            downsample=downsample,
            grid=read_grid(store, quality, is_used),
            attributes=attributes,
            quality=quality,
        )


def read_grid(store: Store, quality: Quality = Quality(), is_used: bool = True) -> Grid:
    """The grid of a slide: tiles of the store, then those that were left out. Arguments as in `read_slide`."""
    file = store.file
    coords = file["coords"][:]
    statuses = np.where(chosen_rows(store, quality) & is_used, KEPT, LOW_QUALITY).astype(np.uint8)
    if "rejected_coords" in file:
        reason = file["rejected_reason"]
        of_reason = np.array([NAMES.index(name) for name in reason.attrs["reasons"]], np.uint8)
        coords = np.concatenate([coords, file["rejected_coords"][:]])
        statuses = np.concatenate([statuses, of_reason[reason[:]]])
    size_level0 = (float(file.attrs.get(name, 0)) for name in ("tile_width_level0", "tile_height_level0"))
    return Grid(coords, statuses, *size_level0)


def read_scores(file: h5py.File) -> dict[str, np.ndarray]:
    """Scores of all tiles of the grid, in its order: name -> float32 (T,), NaN where a tile was not measured."""
    rejected = len(file["rejected_coords"]) if "rejected_coords" in file else 0
    not_measured = np.full(rejected, np.nan, np.float32)
    scores = {}
    for name in SCORES:
        if name in file:
            of_rejected = file[f"rejected_{name}"][:] if f"rejected_{name}" in file else not_measured
            scores[name] = np.concatenate([file[name][:], of_rejected])
    return scores
