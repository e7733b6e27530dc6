"""Slides with their tiles drawn over, and the slides that gave none with their reason."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from gensis.figures.choice import evenly
from gensis.figures.markup import count, details, figure, paragraph, picture, table, text
from gensis.figures.run import Dataset, Run
from gensis.images.store import Store

MAX_DRAWN = 24
MAX_LISTED = 200
LONGEST_SIDE_PX = 480
FILL, OUTLINE = (0, 121, 107, 40), (0, 90, 80, 220)
_SMALLEST_OUTLINED_PX = 4  # below this a tile's outline would hide the tile


@dataclass(frozen=True)
class SlideView:
    """What is needed to draw a slide."""

    thumbnail: Image.Image
    downsample: float
    """Level-0 px per px of the thumbnail."""
    coords_level0: np.ndarray
    """int64 (N, 2): x and y of the tiles' top-left corners."""
    tile_level0: float
    """Side of a tile in level-0 px."""


def slides(run: Run, threads: int) -> str:
    """All data sets of slides; empty if there is none."""
    datasets = [dataset for dataset in run.datasets if dataset.kind == "slides"]
    return "\n".join(_dataset(dataset, MAX_DRAWN // len(datasets), threads) for dataset in datasets)


def _dataset(dataset: Dataset, max_drawn: int, threads: int) -> str:
    tiled = [unit for unit in dataset.units if int(unit["images"]) and (dataset.folder / f"{unit['unit']}.h5").exists()]
    drawn = [tiled[i] for i in evenly(len(tiled), max_drawn)]
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        figures = list(pool.map(lambda unit: _slide(dataset.folder, unit), drawn))
    left_out = len(tiled) - len(drawn)
    said = f"<b>{text(dataset.name)}</b>: {count(len(tiled), 'slide')} with tiles" + (
        f"; {len(drawn)} are drawn, {left_out} left out." if left_out else "."
    )
    return "\n".join([paragraph(said), f'<div class="gallery">{"".join(figures)}</div>', _without_images(dataset)])


def _slide(folder: Path, unit: dict[str, str]) -> str:
    view = read_slide(folder / f"{unit['unit']}.h5")
    name = text(unit["unit"])
    tiles = f"{text(unit['outcome'])}, {count(int(unit['images']), 'tile')}"
    if view is None:
        return figure('<p class="note">no thumbnail</p>', f"<b>{name}</b><br>{tiles}")
    return figure(picture(draw_tiles(view), f"{unit['unit']} with its tiles"), f"<b>{name}</b><br>{tiles}")


def read_slide(path: Path) -> SlideView | None:
    """Thumbnail and tiles of a slide's store; None if it has no thumbnail."""
    with Store(path) as store:
        if "thumbnail" not in store.file or not len(store.file["thumbnail"]):
            return None
        thumbnail = Image.open(io.BytesIO(store.file["thumbnail"][:].tobytes())).convert("RGB")
        return SlideView(
            thumbnail,
            float(store.file["thumbnail"].attrs["downsample"]),
            store.file["coords"][:],
            float(store.file["coords"].attrs["patch_size_level0"]),
        )


def draw_tiles(view: SlideView) -> Image.Image:
    """The thumbnail, enlarged or reduced to LONGEST_SIDE_PX, with a tinted square a tile."""
    scale = LONGEST_SIDE_PX / max(view.thumbnail.size)
    size = tuple(max(round(side * scale), 1) for side in view.thumbnail.size)
    slide = view.thumbnail.resize(size, Image.Resampling.BICUBIC).convert("RGBA")
    layer = Image.new("RGBA", size)
    brush = ImageDraw.Draw(layer)
    px_per_level0 = scale / view.downsample
    outline = OUTLINE if view.tile_level0 * px_per_level0 >= _SMALLEST_OUTLINED_PX else None
    for corner in view.coords_level0:
        left, top = (round(value) for value in corner * px_per_level0)
        # One px short of where the next tile begins, so that tiles that touch share no px.
        far = (round(value) - 1 for value in (corner + view.tile_level0) * px_per_level0)
        right, bottom = (max(value, least) for value, least in zip(far, (left, top)))
        brush.rectangle((left, top, right, bottom), fill=FILL, outline=outline)
    return Image.alpha_composite(slide, layer).convert("RGB")


def _without_images(dataset: Dataset) -> str:
    empty = [unit for unit in dataset.units if not int(unit["images"])]
    if not empty:
        return ""
    rows = [[text(unit["unit"]), text(unit["outcome"]), text(unit["reason"])] for unit in empty[:MAX_LISTED]]
    more = len(empty) - len(rows)
    note = paragraph(f"{more} more are listed in outcomes.tsv.", "note") if more else ""
    listing = table(["slide", "outcome", "reason"], rows, "reasons") + note
    title = f"{count(len(empty), 'slide')} of {dataset.name} without tiles"
    return f"<h3>{text(title)}</h3>{listing}" if len(empty) <= 10 else details(title, listing)
