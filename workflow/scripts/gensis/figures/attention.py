"""Attention maps: the attention weights of slide classifiers, drawn over the test slides."""

import numpy as np
from PIL import Image

from gensis.figures.attended import SlideAttention, attending_tasks, read_attention, read_tested, slides_of
from gensis.figures.attended_tiles import attended_tiles
from gensis.figures.markup import figure, paragraph, picture, text
from gensis.figures.palette import ATTENTION
from gensis.figures.run import Dataset, Run
from gensis.figures.sampled_images import evenly
from gensis.figures.slide_overlay import scale_to_fit
from gensis.figures.slide_view import SlideView, read_slide

MOST_SLIDES = 12
LONGEST_SIDE_PX = 480
FULL_AT = 4.0
"""Attention weight, as a multiple of uniform attention, from which a tile has the full colour."""
_MOST_OPAQUE = 0.8


def attention(run: Run) -> str:
    """Attention maps of each data set, for the encoder that the answer is about; empty where none were stored."""
    encoder = run.scores.subject or run.study.reference
    slides = [dataset for dataset in run.datasets if dataset.kind == "slides"]
    return "\n".join(filter(None, (_dataset(run, dataset, encoder) for dataset in slides)))


def _dataset(run: Run, dataset: Dataset, encoder: str) -> str:
    predictions = run.predictions(encoder, dataset.name)
    path = predictions.with_name("attention.h5")
    attending = attending_tasks(path)
    task = next((name for name in run.study.slide_tasks if name in attending), None)
    if task is None:
        return ""
    names, tested = slides_of(path, task), read_tested(predictions, task)
    shown = [names[i] for i in evenly(len(names), MOST_SLIDES)]
    captions = {name: outcome.caption for name, outcome in tested.items()}
    pictures = "".join(_slide(dataset, each, captions.get(each.name, "")) for each in read_attention(path, task, shown))
    note = (
        f"<b>{text(dataset.name)}: attention of {text(task)} on {text(encoder)}, first seed.</b> {len(shown)} of "
        f"{len(names)} test slides, evenly chosen. The greener a tile, the larger its attention weight in the "
        "classifiers that were tested on its slide and not trained on it; full green from "
        f"{FULL_AT:.0f} times uniform attention. The maps show where the classifiers attend, not whether that is "
        "right. The target <code>attention</code> exports the maps of all test slides, as pictures and for QuPath."
    )
    tiles = attended_tiles(dataset.folder, read_attention(path, task, names), tested)
    return paragraph(note) + f'<div class="gallery">{pictures}</div>' + tiles


def _slide(dataset: Dataset, found: SlideAttention, caption: str) -> str:
    store = dataset.folder / f"{found.name}.h5"
    view = read_slide(store) if store.exists() else None
    if view is None:
        return ""
    drawn = draw_attention(view, found.coords_level0, found.relative)
    return figure(picture(drawn, f"attention over {found.name}"), f"<b>{text(found.name)}</b><br>{caption}")


def draw_attention(view: SlideView, coords_level0: np.ndarray, relative: np.ndarray) -> Image.Image:
    """The slide with its tiles in green: the larger the multiple of uniform attention, the more opaque."""
    scale = scale_to_fit(view.thumbnail.size, (LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    slide = view.thumbnail.resize([max(round(side * scale), 1) for side in view.thumbnail.size])
    px_per_level0 = scale / view.downsample
    near = np.rint(coords_level0 * px_per_level0).astype(int)
    size_level0 = np.array([view.grid.width_level0, view.grid.height_level0])
    far = np.maximum(np.rint((coords_level0 + size_level0) * px_per_level0).astype(int), near + 1)
    opacity = np.zeros(slide.size[::-1], np.uint8)
    shares = np.minimum(relative / FULL_AT, 1)
    for (left, top), (right, bottom), share in zip(near, far, shares):
        opacity[top:bottom, left:right] = round(255 * _MOST_OPAQUE * float(share))
    return Image.composite(Image.new("RGB", slide.size, ATTENTION), slide, Image.fromarray(opacity))
