"""Attention maps: the attention weights of slide classifiers, drawn over the test slides."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gensis.artifacts.hdf5 import open_hdf5
from gensis.figures.markup import figure, paragraph, picture, text
from gensis.figures.run import Dataset, Run
from gensis.figures.sampled_images import evenly
from gensis.figures.slide_overlay import scale_to_fit
from gensis.figures.slide_view import SlideView, read_slide

MOST_SLIDES = 12
LONGEST_SIDE_PX = 480
HEAT = (214, 64, 16)
FULL_AT = 4.0
"""Attention weight, as a multiple of uniform attention, from which a tile has the full colour."""
_MOST_OPAQUE = 0.8


@dataclass(frozen=True)
class SlideAttention:
    """Attention over one test slide."""

    name: str
    coords_level0: np.ndarray
    """int64 (n, 2): top-left corners of its tiles."""
    weights: np.ndarray
    """float32 (n,): attention weight of each tile."""


def attention(run: Run) -> str:
    """Attention maps of each data set, for the encoder that the answer is about; empty where none were stored."""
    encoder = run.scores.subject or run.study.baseline
    slides = [dataset for dataset in run.datasets if dataset.kind == "slides"]
    return "\n".join(filter(None, (_dataset(run, dataset, encoder) for dataset in slides)))


def _dataset(run: Run, dataset: Dataset, encoder: str) -> str:
    predictions = run.predictions(encoder, dataset.name)
    path = predictions.with_name("attention.h5")
    if not path.exists():
        return ""
    with open_hdf5(path) as file:
        task = next((name for name in file if name != "coords" and len(file[name])), None)
        if task is None:
            return ""
        names = list(file[task])
        chosen = [names[i] for i in evenly(len(names), MOST_SLIDES)]
        maps = [SlideAttention(name, file["coords"][name][:], file[task][name][:]) for name in chosen]
    captions = read_captions(predictions, task)
    pictures = "".join(_slide(dataset, each, captions.get(each.name, "")) for each in maps)
    note = (
        f"<b>{text(dataset.name)}: attention of {text(task)} on {text(encoder)}, first seed.</b> {len(maps)} of "
        f"{len(names)} test slides, evenly chosen. The redder a tile, the larger its attention weight in the "
        "classifiers that were tested on its slide and not trained on it; full red from "
        f"{FULL_AT:.0f} times uniform attention. The maps show where the classifiers attend, not whether that is right."
    )
    return paragraph(note) + f'<div class="gallery">{pictures}</div>'


def read_captions(predictions: Path, task: str) -> dict[str, str]:
    """Slide -> its label and the predicted class with its probability, as markup."""
    if not predictions.exists():
        return {}
    with open_hdf5(predictions) as file:
        group = file[task]
        classes = json.loads(group.attrs["classes"])
        lines = zip(group["unit"].asstr()[:], group["label"][:], group["predicted"][:], group["probabilities"][:])
        return {
            name: f"label {text(classes[label])}, predicted {text(classes[predicted])} ({probabilities[predicted]:.0%})"
            for bag, label, predicted, probabilities in lines
            for name in bag.split("+")
        }


def _slide(dataset: Dataset, found: SlideAttention, caption: str) -> str:
    store = dataset.folder / f"{found.name}.h5"
    view = read_slide(store) if store.exists() else None
    if view is None:
        return ""
    drawn = draw_attention(view, found.coords_level0, found.weights)
    return figure(picture(drawn, f"attention over {found.name}"), f"<b>{text(found.name)}</b><br>{caption}")


def draw_attention(view: SlideView, coords_level0: np.ndarray, weights: np.ndarray) -> Image.Image:
    """The slide with its tiles in red: the larger the attention weight, the more opaque."""
    scale = scale_to_fit(view.thumbnail.size, (LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    slide = view.thumbnail.resize([max(round(side * scale), 1) for side in view.thumbnail.size])
    px_per_level0 = scale / view.downsample
    near = np.rint(coords_level0 * px_per_level0).astype(int)
    size_level0 = np.array([view.grid.width_level0, view.grid.height_level0])
    far = np.maximum(np.rint((coords_level0 + size_level0) * px_per_level0).astype(int), near + 1)
    opacity = np.zeros(slide.size[::-1], np.uint8)
    relative = np.minimum(weights * len(weights) / FULL_AT, 1)
    for (left, top), (right, bottom), weight in zip(near, far, relative):
        opacity[top:bottom, left:right] = round(255 * _MOST_OPAQUE * float(weight))
    return Image.composite(Image.new("RGB", slide.size, HEAT), slide, Image.fromarray(opacity))
