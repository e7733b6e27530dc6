"""Views of sources, of a bank's images and of real images for comparison, embedded by the encoder that judges them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from gensis.evaluation.bank_features import BATCH, Embed
from gensis.evaluation.bank_quality import Subject
from gensis.evaluation.reference_images import NO_IMAGE, draw_references
from gensis.images.reading import Images, read_ahead
from gensis.progress import progress


@dataclass(frozen=True)
class Judge:
    """The encoder in whose embedding distances and classes are measured."""

    encoder: Embed
    features: np.ndarray
    """float32 (K, D): embeddings of the images `sample.known`."""

    def embed(
        self, name: str, images: Images, rows: np.ndarray, *, change: Callable[[torch.Tensor], torch.Tensor]
    ) -> np.ndarray:
        """Embeddings of images by their rows after a ``change``, float32 (n, D); ``name`` is for the log."""
        batches = progress(map(change, _batches(images, rows)), len(rows), name, size=len)
        return np.concatenate([self.encoder(batch).cpu().numpy() for batch in batches])


@dataclass(frozen=True)
class Shown:
    """A view of one image for each of n sources."""

    views: np.ndarray
    """float32 (n, D)."""
    places: np.ndarray
    """int64 (n,): rows of these images among the known images; NO_IMAGE for generated ones."""
    present: np.ndarray
    """bool (n,): whether the source has such an image; the other rows are meaningless."""


def show(subject: Subject, judge: Judge, labels: np.ndarray) -> tuple[np.ndarray, dict[str, Shown]]:
    """Draw a view of each source, and one of each kind of image that it is compared with.

    Args:
        subject: the bank and its real images.
        judge: embeds the views.
        labels: int64 (K,): classes of the known images, -1 for images without one.

    Returns:
        float32 (n, D) views of the sources; and by kind `views` (other views of the sources), `bank` (if it has
        generative images) and those of `draw_references`.
    """
    torch.manual_seed(subject.seed)  # views are drawn from the global generator
    sample, every = subject.sample, np.ones(len(subject.sample.sources), bool)
    sources = sample.places(sample.sources)

    def views(name: str, images: Images, rows: np.ndarray) -> np.ndarray:
        return judge.embed(name, images, rows, change=subject.view)

    first, second = (views(f"{each} views", subject.images, sample.sources) for each in ("first", "second"))
    shown = {"views": Shown(second, sources, every)}
    if bank := subject.banks.get("generative"):
        of_bank = views("views of the bank", bank.images, sample.drawn["generative"])
        copies = subject.copies()
        shown["bank"] = Shown(of_bank, np.full(len(every), NO_IMAGE) if copies is None else copies, every)
    references = draw_references(subject.features, labels, sources, seed=subject.seed, device=subject.device)
    for kind, places in references.items():
        present = places != NO_IMAGE
        rows = sample.known[np.where(present, places, sources)]
        shown[kind] = Shown(views(f"views of {kind}", subject.images, rows), places, present)
    return first, shown


def _batches(images: Images, rows: np.ndarray) -> Iterator[torch.Tensor]:
    return read_ahead(images, torch.from_numpy(rows).split(BATCH))
