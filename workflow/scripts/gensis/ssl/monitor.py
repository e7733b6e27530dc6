"""A look at the teacher while it trains, without labels. It decides nothing: no checkpoint is chosen by it."""

import logging
import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from gensis.ssl.collapse import collapse
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.permutation import mixed_key, permuted

log = logging.getLogger(__name__)
_IMAGES = 2048
_BATCH = 128


class Monitor:
    """Watches a `Pretrainer`: the ``watch`` of `training.loop.train`.

    It looks at some images of the train split that the seed chooses (they are trained on like all others), in the same
    two views every time, so that only the teacher changes from one look to the next.
    """

    def __init__(self, pretrainer: Pretrainer, seed: int, epochs: int, keep: Callable[[int, torch.Tensor], None]):
        """Look at the embeddings every so many ``epochs`` and after the last, at the entropies after each.

        Args:
            pretrainer: whose teacher is watched.
            seed: chooses the images and their views.
            epochs: between two looks.
            keep: gets the step and the embeddings of the whole images, float32 (n, D) of length 1, at each look.
        """
        self._pretrainer, self._seed, self._epochs, self._keep = pretrainer, seed, epochs, keep
        count = len(pretrainer.images)
        rows = permuted(np.arange(min(_IMAGES, count)), count, mixed_key(seed, count))
        self.rows = torch.from_numpy(rows).sort().values
        self._said = ""

    def __call__(self, row: dict[str, float]) -> dict[str, float]:
        """Warn of a collapse; ``rankme`` and ``view_retrieval`` when it is time for them."""
        self._warn(row)
        pretrainer, step = self._pretrainer, int(row["step"])
        between = self._epochs * pretrainer.sampler.steps_per_epoch
        if step % between >= pretrainer.steps_per_row and step < pretrainer.total_steps:
            return {}
        whole, first, second = self._embeddings()
        self._keep(step, F.normalize(whole, dim=1))
        return {"rankme": rankme(first), "view_retrieval": view_retrieval(first, second)}

    def _warn(self, row: dict[str, float]) -> None:
        """Say a collapse once. During the warm-up all images look alike to a network that knows nothing yet."""
        if row["step"] <= self._pretrainer.resolved.warmup * self._pretrainer.total_steps:
            return
        found = collapse(row["teacher_entropy"], row["teacher_batch_entropy"], self._pretrainer.resolved.prototypes)
        if found and found != self._said:
            log.warning("WARNING: the teacher has collapsed at step %d: %s", row["step"], found)
        self._said = found

    def _embeddings(self) -> torch.Tensor:
        """Of the monitored images and of two views of each: float32 (3, n, D). Torch's generators stay as they were."""
        device = self._pretrainer.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self._seed)
            batches = [self._pretrainer.embed(rows) for rows in self.rows.split(_BATCH)]
        return torch.cat(batches, 1)


def rankme(embeddings: torch.Tensor) -> float:
    """Effective rank of (n, D) embeddings, between 1 and min(n, D) (Garrido et al. 2023, arXiv 2210.02885).

    The exponential of the entropy of the singular values, divided by their sum; NaN if these are not finite or all 0.
    """
    if not embeddings.isfinite().all():
        return math.nan
    values = torch.linalg.svdvals(embeddings.float().cpu())
    shares = values / values.sum()
    return torch.special.entr(shares).sum().exp().item()


def view_retrieval(first: torch.Tensor, second: torch.Tensor) -> float:
    """Share of images whose two views are each other's nearest neighbours by cosine, among all n images.

    Args:
        first: embeddings (n, D) of one view of each image.
        second: of another, in the same order.
    """
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    own = torch.arange(len(first), device=first.device)
    return ((similarity.argmax(1) == own) & (similarity.argmax(0) == own)).float().mean().item()
