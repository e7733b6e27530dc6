"""Interpolated images, ordered by alpha, beside a pixel-wise blend of the same two sources."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gensis.figures.bank_grid import ALPHA, LARGEST_SIDE_PX, BankImage, read_generated, read_source
from gensis.figures.markup import LARGEST_CRISP_PX, figure, picture, text
from gensis.figures.run import Bank, Run
from gensis.figures.sampled_images import evenly
from gensis.images.index import Index
from gensis.images.store import Store

MOST = 10


@dataclass(frozen=True)
class Interpolation:
    """One interpolated image and the row of its source in the train split."""

    source: int
    image: BankImage


def interpolations(run: Run) -> str:
    """A strip for each bank, of its first seed; empty where there are no interpolated images."""
    dataset = run.dataset(run.study.pretraining.dataset)
    if dataset is None or dataset.train is None:
        return ""
    first: dict[str, Bank] = {}
    for bank in run.banks:
        first.setdefault(bank.name, bank)
    return "\n".join(filter(None, (_bank(bank, dataset.train) for bank in first.values())))


def _bank(bank: Bank, index: Index) -> str:
    chosen = _chosen(bank)
    if not chosen:
        return ""
    columns = "".join(_column(index, each) for each in chosen)
    caption = (
        f"<b>Bank {text(bank.name)}, seed {bank.seed}.</b> From top to bottom: source; image generated from "
        "the interpolated embedding; for comparison, a pixel-wise blend of source and partner with the same weight "
        f"&alpha;; partner. Images are evenly chosen by &alpha;, not selected for quality. Good: {_along(chosen)}the "
        "generated image shows one consistent image where the blend shows two."
    )
    return figure(f'<div class="scroll"><div class="strip">{columns}</div></div>', caption, "bank interpolations")


def _along(chosen: list[Interpolation]) -> str:
    """What changes from left to right: nothing with a single alpha."""
    several = len({each.image.alpha for each in chosen}) > 1
    return "from left to right the generated image changes from source to partner, and " if several else ""


def _chosen(bank: Bank) -> list[Interpolation]:
    """Interpolated images of the first shard, from the largest alpha to the smallest."""
    found = []
    for path in bank.shards("interpolated")[:1]:
        with Store(path) as store:
            columns = [store.column(name).tolist() for name in ("source", "partner", "alpha")]
        found = [Interpolation(s, BankImage(p, a, path, at)) for at, (s, p, a) in enumerate(zip(*columns))]
    found.sort(key=lambda each: -each.image.alpha)
    return [found[i] for i in evenly(len(found), MOST)]


def _column(index: Index, shown: Interpolation) -> str:
    alpha, generated = shown.image.alpha, read_generated(shown.image)
    source, partner = (_resized(read_source(index, row), generated) for row in (shown.source, shown.image.partner))
    images = {
        "source": source,
        "generated": generated,
        "pixel blend": blended(source, partner, alpha),
        "partner": partner,
    }
    cells = "".join(picture(_shown(pixels), name) for name, pixels in images.items())
    return f"<figure>{cells}<figcaption>{ALPHA} = {alpha:.2f}</figcaption></figure>"


def blended(source: np.ndarray, partner: np.ndarray, alpha: float) -> np.ndarray:
    """Pixel-wise blend of two images of equal size, alpha weighting the first: uint8 (H, W, 3)."""
    return np.rint(alpha * source + (1 - alpha) * partner).astype(np.uint8)


def _resized(pixels: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize(like.shape[1::-1], Image.Resampling.BICUBIC))


def _shown(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels)
    if max(image.size) > LARGEST_CRISP_PX:
        image.thumbnail((LARGEST_SIDE_PX, LARGEST_SIDE_PX), Image.Resampling.LANCZOS)
    return image
