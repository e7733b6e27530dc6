"""What a bank's filter measures: the fidelity of generated images, and whether they are copies."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from gensis.evaluation.bank_features import Embed
from gensis.evaluation.copying import Reference, thumbnails
from gensis.images.features import Features
from gensis.images.index import index_of
from gensis.images.reading import Images, StreamedImages, read_ahead
from gensis.images.store import Store
from gensis.progress import progress

Columns = dict[str, np.ndarray]
"""`source`, `partner` and `alpha` of generated images, (n,) each."""


class BankFilter:
    """Compares generated images with their conditions and sources."""

    def __init__(
        self,
        images: Images,
        features: Features,
        *,
        reference: Reference,
        encoder: Embed,
        interpolate: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
        batch_size: int,
    ):
        """Prepare the measurements.

        Args:
            images: of the train split.
            features: their embeddings.
            reference: training images that the sources' neighbours are searched among.
            encoder: of these embeddings.
            interpolate: the condition between two unit vectors (n, D), with the weights (n,) of the first.
            batch_size: images in a batch, which affects the last bits of the results.
        """
        self._images, self._features, self._reference = images, features, reference
        self._encoder, self._interpolate, self._batch_size = encoder, interpolate, batch_size

    def measure(self, path: Path, device: torch.device, threads: int) -> dict[str, np.ndarray]:
        """`fidelity` and `copy_ratio` of the images of a store, float32 (N,) each.

        Args:
            path: the store.
            device: of the encoder.
            threads: number of threads that read and decode.
        """
        with Store(path) as store:
            columns = {name: store.column(name) for name in ("source", "partner", "alpha")}
            line = {"unit": path.stem, "images": str(len(store)), "content": store.content}
        count = len(columns["source"])
        measured = {name: np.empty(count, np.float32) for name in ("fidelity", "copy_ratio")}
        if not count:
            return measured
        with StreamedImages(index_of(path.parent, [line]), device, threads) as generated:
            batches = self._batches(generated, columns)
            for rows, images, originals in progress(batches, count, "images", size=lambda batch: len(set(batch[0]))):
                of_batch = {name: column[rows] for name, column in columns.items()}
                measured["fidelity"][rows] = self._fidelity(images, of_batch)
                measured["copy_ratio"][rows] = self._copy_ratio(images, originals, of_batch)
        return measured

    def _batches(self, generated: Images, columns: Columns) -> Iterator[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
        """Rows of each batch, the generated images, and their sources, followed by their partners if they have any.

        All batches have one size: the last is filled up with the last image.
        """
        firsts = range(0, len(generated), self._batch_size)
        batches = [np.arange(first, first + self._batch_size).clip(max=len(generated) - 1) for first in firsts]
        of_all = _origins(columns)
        origins = (torch.from_numpy(np.concatenate([each[rows] for each in of_all])) for rows in batches)
        return zip(batches, read_ahead(generated, map(torch.from_numpy, batches)), read_ahead(self._images, origins))

    def _fidelity(self, images: torch.Tensor, columns: Columns) -> np.ndarray:
        """Cosine similarity of each generated image's embedding with its condition, float32 (n,)."""
        conditions, *others = (F.normalize(self._features[rows]) for rows in _origins(columns))
        for partners in others:
            conditions = self._interpolate(conditions, partners, torch.from_numpy(columns["alpha"]))
        with torch.inference_mode():
            return F.cosine_similarity(self._encoder(images).cpu(), conditions).numpy()

    def _copy_ratio(self, images: torch.Tensor, originals: torch.Tensor, columns: Columns) -> np.ndarray:
        """Copy ratio of each image (see `copy_ratios`): the smaller of those to source and partner, float32 (n,)."""
        pixels, origins = thumbnails(images), _origins(columns)
        of_originals = np.split(thumbnails(originals), len(origins))
        return np.min([self._reference.ratios(pixels, *each) for each in zip(of_originals, origins)], axis=0)


def _origins(columns: Columns) -> list[np.ndarray]:
    """The sources of some images, and their partners if all images have one, int64 (n,) each."""
    names = ("source", "partner") if (columns["partner"] >= 0).all() else ("source",)
    return [columns[name] for name in names]
