"""Source images beside the bank images that were generated from them."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gensis.figures.markup import LARGEST_CRISP_PX, figure, paragraph, picture, text
from gensis.figures.run import Bank, Run
from gensis.figures.sampled_images import evenly
from gensis.images.codec import decode
from gensis.images.index import Index
from gensis.images.store import Store

MAX_SOURCES = 10
MAX_GENERATIVE, MAX_INTERPOLATED = 3, 3
LARGEST_SIDE_PX = 144
ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
_READING = (
    "Each row, from left to right: a source image of the train split; images generated from its embedding "
    "(generative); images generated from an interpolation between its embedding and that of a partner; the partner. "
    "Good: generative images show the content of the source, with other details. &alpha; is the weight of the source: "
    "near 1 an interpolated image should resemble the source, near 0 the partner."
)
_OF_KIND = {
    "generated": ("generative", _READING),
    "neighbours": (
        "neighbour",
        "Each row, from left to right: a source image of the train split; the other training images that are nearest "
        "to it in the embedding, nearest first. Good: they show the content of the source.",
    ),
    "sources": ("source, copied", "Each row: a source image of the train split; the same image in the bank."),
}
"""Kind of bank -> label of its images, and how to read its grid."""


@dataclass(frozen=True)
class BankImage:
    """One image of a bank."""

    partner: int
    """Row in the train split; -1 for a generative image."""
    alpha: float
    """Weight of the source."""
    shard: Path
    position: int


def bank_grid(run: Run) -> str:
    """A grid for each bank, of its first seed; one line of text where a bank has no images or no sources."""
    dataset = run.dataset(run.study.pretraining.dataset)
    first: dict[str, Bank] = {}
    for bank in run.banks:
        first.setdefault(bank.name, bank)
    if not first:
        return ""
    if dataset is None or dataset.train is None:
        return paragraph("The bank is not shown: its source images are missing (train.tsv of the data set).", "note")
    return "\n".join(_bank(bank, dataset.train) for bank in first.values())


def _bank(bank: Bank, index: Index) -> str:
    shards = {kind: bank.shards(kind) for kind in ("generative", "interpolated")}
    sources = _sources([path for paths in shards.values() for path in paths])
    if not len(sources):
        return paragraph(f"Bank {text(bank.name)} holds no images.", "note")
    chosen = [int(sources[i]) for i in evenly(len(sources), MAX_SOURCES)]
    generative, interpolated = (_images_by_source(chosen, paths) for paths in shards.values())
    label, reading = _OF_KIND[bank.kind]
    rows = [row(index, source, generative[source], interpolated[source], label=label) for source in chosen]
    caption = (
        f"<b>Bank {text(bank.name)}, seed {bank.seed}.</b> {len(chosen)} of {len(sources):,} sources, evenly "
        f"chosen, not selected for quality. {reading}"
    )
    return figure(f'<div class="scroll">{"".join(rows)}</div>', caption, "bank")


def _sources(shards: list[Path]) -> np.ndarray:
    """Rows of all sources that have images in the bank, int64, ascending."""
    found = [np.zeros(0, np.int64)]
    for path in shards:
        with Store(path) as store:
            found.append(store.column("source"))
    return np.unique(np.concatenate(found))


def _images_by_source(sources: list[int], shards: list[Path]) -> dict[int, list[BankImage]]:
    """The bank images of some sources, by source."""
    images: dict[int, list[BankImage]] = {source: [] for source in sources}
    for path in shards:
        with Store(path) as store:
            source, partner, alpha = (store.column(name) for name in ("source", "partner", "alpha"))
        for at in np.flatnonzero(np.isin(source, sources)).tolist():
            images[int(source[at])].append(BankImage(int(partner[at]), float(alpha[at]), path, at))
    return images


def row(index: Index, source: int, generative: list[BankImage], interpolated: list[BankImage], *, label: str) -> str:
    """One source and its images: those of the source alone with a label, interpolated ones by falling alpha, then the
    partner."""
    cells = [_cell(read_source(index, source), "source")]
    cells += [_cell(read_generated(image), label) for image in generative[:MAX_GENERATIVE]]
    by_partner: dict[int, list[BankImage]] = defaultdict(list)
    for image in interpolated[:MAX_INTERPOLATED]:
        by_partner[image.partner].append(image)
    for partner, images in by_partner.items():
        nearest_first = sorted(images, key=lambda image: -image.alpha)
        cells += [_cell(read_generated(image), f"{ALPHA} = {image.alpha:.2g}") for image in nearest_first]
        cells.append(_cell(read_source(index, partner), "partner"))
    return f'<div class="strip" data-source="{source}">{"".join(cells)}</div>'


def read_source(index: Index, source: int) -> np.ndarray:
    """The image of a row of the train split, uint8 (height, width, 3)."""
    units, positions = index.locate(np.array([source]))
    with Store(index.paths()[units[0]]) as store:
        return decode(store.read(int(positions[0]), int(positions[0]) + 1)[0])


def read_generated(image: BankImage) -> np.ndarray:
    """An image of a bank, uint8 (height, width, 3)."""
    with Store(image.shard) as store:
        return decode(store.read(image.position, image.position + 1)[0])


def _cell(pixels: np.ndarray, label: str) -> str:
    image = Image.fromarray(pixels)
    if max(image.size) > LARGEST_CRISP_PX:
        image.thumbnail((LARGEST_SIDE_PX, LARGEST_SIDE_PX), Image.Resampling.LANCZOS)
    return f"<figure>{picture(image, label)}<figcaption>{text(label)}</figcaption></figure>"
