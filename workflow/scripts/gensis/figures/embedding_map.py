"""Map of embeddings: test images at their first two principal components; pointing at one shows the image."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gensis.artifacts.hdf5 import open_hdf5
from gensis.figures.markup import JPEG_QUALITY, count, details, figure, paragraph, table, text
from gensis.figures.palette import SERIES
from gensis.figures.run import Dataset, Run
from gensis.figures.sampled_images import evenly
from gensis.images.codec import decode
from gensis.images.store import Store
from gensis.settings.tasks import find_task

MOST_POINTS = 1000
THUMBNAIL_PX = 32
MOST_COLOURS = 20
SHAPES = (
    '<circle cx="5" cy="5" r="4"',
    '<path d="M1.5 1.5h7v7h-7z"',
    '<circle cx="5" cy="5" r="3" fill-opacity="0" stroke-width="2"',
)
"""Start of the shape of a class in the legend: of the first classes, of the next (squares), of the last (rings)."""
_COLUMNS = 32


@dataclass(frozen=True)
class Points:
    """Some of the test images of a data set."""

    item: np.ndarray
    """int64 (n,): rows of the data set's embeddings, ascending."""
    label: np.ndarray
    """int64 (n,): index into `classes`."""
    classes: tuple[str, ...]


def embedding_map(run: Run) -> str:
    """Maps of each data set with the first seed: of the baseline and of the encoder that the answer is about, or of all
    external encoders if nothing was trained."""
    return "\n".join(filter(None, (_dataset(run, dataset) for dataset in run.datasets)))


def _dataset(run: Run, dataset: Dataset) -> str:
    trained = (run.study.baseline, run.scores.subject) if run.study.pretraining else run.study.encoders
    names = dict.fromkeys(name for name in trained if name)
    parts = {name: run.embedding_parts(name, dataset.name) for name in names}
    points = read_points(run.predictions(run.study.reference, dataset.name))
    parts = {name: found for name, found in parts.items() if found}
    if points is None or not parts:
        return ""
    maps = "".join(_map(name, found, points) for name, found in parts.items())
    sheet = sprite_sheet(_images(dataset, next(iter(parts.values())), points.item))
    colours = "".join(f"--k{k}:{colour(k, len(points.classes))};" for k in range(len(points.classes)))
    style = f"--sheet:url('data:image/jpeg;base64,{base64.b64encode(sheet).decode('ascii')}');{colours}"
    caption = (
        f"<b>{text(dataset.name)}.</b> {count(len(points.item), 'test image')}, evenly chosen, at the first two "
        "principal components of their L2-normalised embeddings (PCA; first seed). Colour and shape: label. Point at "
        "or tap a dot to see its image. These are two of many dimensions: classes that overlap here may be separate in "
        "others."
    )
    return figure(f'<div class="maps" style="{style}">{maps}</div>{legend(points.classes)}', caption)


def read_points(predictions: Path) -> Points | None:
    """Some test images, evenly chosen; None where no task tested single images."""
    if not predictions.exists():
        return None
    with open_hdf5(predictions) as file:
        tasks = [group for name, group in file.items() if find_task(name).level == "image" and "label" in group]
        if not tasks:
            return None
        item, first = np.unique(tasks[0]["item"][:], return_index=True)
        chosen = evenly(len(item), MOST_POINTS)
        label = tasks[0]["label"][:][first]
        return Points(item[chosen], label[chosen], tuple(json.loads(tasks[0].attrs["classes"])))


def _map(name: str, parts: Sequence[Path], points: Points) -> str:
    features = _features(parts, points.item)
    x, y, share = principal_components(features)
    x, y = _percent(x), _percent(-y)
    several = len(points.classes) <= MOST_COLOURS
    shapes = [label // len(SERIES) if several else 0 for label in points.label.tolist()]
    places = zip(x, y, points.label.tolist(), shapes)
    dots = "".join(_dot(number, place) for number, place in enumerate(places))
    label = text(f"{name}: two components with {share:.0%} of the variance")
    described = f"{label}. The table of the classes below describes it."
    drawn = f'<div class="map" role="img" aria-label="{described}">{dots}</div>'
    return f'<div><p class="note">{label}</p>{drawn}{class_table(features, points, (x, y))}</div>'


def class_table(features: np.ndarray, points: Points, places: tuple[list[float], list[float]]) -> str:
    """What the map shows as numbers, collapsed: for each class its points, their centre, and how pure it is.

    Args:
        features: float32 (n, D) embeddings.
        points: their labels.
        places: x and y of each point in percent of the map's side, from the left and from the top.
    """
    same = points.label[nearest(features)] == points.label
    rows = []
    for number, name in enumerate(points.classes):
        mine = points.label == number
        if mine.any():
            centre = [f"{np.mean(np.array(axis)[mine]):.0f}" for axis in places]
            rows.append([text(name), f"{mine.sum():,}", *centre, f"{same[mine].mean():.0%}"])
    header = ["class", "images", "centre from the left, %", "centre from the top, %", "nearest of the same class"]
    note = paragraph("Nearest: of the images drawn here, by cosine similarity in all dimensions.", "note")
    return details("The classes on this map as a table", table(header, rows, "numbers") + note)


def nearest(features: np.ndarray) -> np.ndarray:
    """int64 (n,): for each of (n, D) embeddings the most similar other one, by cosine; its own row if it is alone."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return similarity.argmax(axis=1)


def _dot(number: int, place: tuple[float, float, int, int]) -> str:
    """A point: x and y in percent, label and shape. Its number tells where its image is in the sprite sheet."""
    v, u = divmod(number, _COLUMNS)
    x, y, label, shape = place
    style = f"--x:{x:.1f};--y:{y:.1f};--u:{u};--v:{v};--c:var(--k{label})"
    return f'<i tabindex="-1" class="shape{shape}" style="{style}"></i>'


def principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Coordinates of (n, D) embeddings along their two largest components, (n,) each, and their share of the variance.

    The sign of a component is arbitrary: it is chosen so that the largest coordinate is positive.
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    centred = unit - unit.mean(0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    axes = np.zeros((len(features), 2))
    axes[:, : len(singular)] = (left * singular)[:, :2]
    axes *= np.where(axes[np.abs(axes).argmax(0), [0, 1]] < 0, -1, 1)
    total = np.square(singular).sum()
    return axes[:, 0], axes[:, 1], float(np.square(singular[:2]).sum() / total) if total else 0.0


def _percent(values: np.ndarray) -> list[float]:
    """Values scaled to 2 to 98, so that no point lies on the edge."""
    low, high = values.min(), values.max()
    return (2 + 96 * (values - low) / ((high - low) or 1)).tolist()


def _features(parts: Sequence[Path], rows: np.ndarray) -> np.ndarray:
    """Some rows, ascending, of the concatenated parts: float32 (n, D)."""
    found, first = [], 0
    for part in parts:
        with open_hdf5(part) as file:
            features = file["features"]
            here = rows[(rows >= first) & (rows < first + len(features))] - first
            found.append(features[here] if len(here) else np.zeros((0, features.shape[1]), np.float32))
            first += len(features)
    return np.concatenate(found)


def _images(dataset: Dataset, parts: Sequence[Path], rows: np.ndarray) -> list[Image.Image]:
    """Thumbnails of some rows of the embeddings, ascending."""
    images, first = [], 0
    for part in parts:
        with open_hdf5(part) as file:
            unit, names = file["unit"][:], file["units"].asstr()[:]
        of_unit = np.searchsorted(unit, np.arange(len(names)))
        here = rows[(rows >= first) & (rows < first + len(unit))] - first
        for number in np.unique(unit[here]).tolist():
            with Store(dataset.folder / f"{names[number]}.h5") as store:
                for row in here[unit[here] == number].tolist():
                    position = int(row - of_unit[number])
                    images.append(_thumbnail(decode(store.read(position, position + 1)[0])))
        first += len(unit)
    return images


def _thumbnail(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)


def sprite_sheet(images: Sequence[Image.Image]) -> bytes:
    """All thumbnails in one JPEG, row by row."""
    rows = -(-len(images) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * THUMBNAIL_PX, rows * THUMBNAIL_PX))
    for number, image in enumerate(images):
        sheet.paste(image, (number % _COLUMNS * THUMBNAIL_PX, number // _COLUMNS * THUMBNAIL_PX))
    stream = io.BytesIO()
    sheet.save(stream, format="JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def colour(number: int, classes: int) -> str:
    """CSS colour of a class, which further classes share in another shape; one for all above MOST_COLOURS classes."""
    if classes > MOST_COLOURS:
        return "var(--accent)"
    return SERIES[number % len(SERIES)]


def legend(classes: Sequence[str]) -> str:
    """Shape and colour of each class; empty above MOST_COLOURS classes."""
    if len(classes) > MOST_COLOURS:
        return ""
    items = "".join(
        f'<li><svg viewBox="0 0 10 10" aria-hidden="true" class="dot">{SHAPES[number // len(SERIES)]} '
        f'fill="{colour(number, len(classes))}" stroke="{colour(number, len(classes))}"/></svg>{text(name)}</li>'
        for number, name in enumerate(classes)
    )
    return f'<ul class="legend">{items}</ul>'
