"""Evaluates the encoder during training, without labels. It does not influence training or select checkpoints."""

import logging
import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from gensis.ssl.pretrainer import Pretrainer
from gensis.training.permutation import mixed_key, permuted

log = logging.getLogger(__name__)
_IMAGES = 2048
_BATCH = 128


class Monitor:
    """Monitors a `Pretrainer`: the ``watch`` argument of `training.loop.train`.

    It embeds some images of the train split that the seed chooses (they are trained on like all others), always with
    the same two views, so that only the encoder changes from one evaluation to the next.
    """

    def __init__(self, pretrainer: Pretrainer, seed: int, epochs: int, keep: Callable[[int, torch.Tensor], None]):
        """Evaluate the embeddings every ``epochs`` epochs and after the last, and look for a collapse in every row.

        Args:
            pretrainer: whose encoder is evaluated.
            seed: chooses the images and their views.
            epochs: between two evaluations.
            keep: called with the step and the embeddings of the whole images, float32 (n, D) of unit norm.
        """
        self._pretrainer, self._seed, self._epochs, self._keep = pretrainer, seed, epochs, keep
        count = len(pretrainer.images)
        rows = permuted(np.arange(min(_IMAGES, count)), count, mixed_key(seed, count))
        self.rows = torch.from_numpy(rows).sort().values
        self._last_warning = ""

    def __call__(self, row: dict[str, float]) -> dict[str, float]:
        """Warn of a collapse; return ``rankme`` and ``view_retrieval`` if an evaluation is due."""
        self._warn(row)
        pretrainer, step = self._pretrainer, int(row["step"])
        interval = self._epochs * pretrainer.sampler.steps_per_epoch
        if step % interval >= pretrainer.steps_per_row and step < pretrainer.total_steps:
            return {}
        whole, first, second = self._embeddings()
        self._keep(step, F.normalize(whole, dim=1))
        return {"rankme": rankme(first), "view_retrieval": view_retrieval(first, second)}

    def _warn(self, row: dict[str, float]) -> None:
        """Warn of a collapse once. No warning during the warm-up, when all embeddings are still similar."""
        if row["step"] <= self._pretrainer.settings.warmup * self._pretrainer.total_steps:
            return
        warning = self._pretrainer.method.collapse(row)
        if warning and warning != self._last_warning:
            log.warning("WARNING: the encoder has collapsed at step %d: %s", row["step"], warning)
        self._last_warning = warning

    def _embeddings(self) -> torch.Tensor:
        """Embeddings of the monitored images and two views of each, float32 (3, n, D). Restores torch's generators."""
        device = self._pretrainer.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self._seed)
            batches = [self._pretrainer.embed(rows) for rows in self.rows.split(_BATCH)]
        return torch.cat(batches, 1)


def rankme(embeddings: torch.Tensor) -> float:
    """Effective rank of (n, D) embeddings, between 1 and min(n, D) (Garrido et al. 2023, arXiv 2210.02885).

    The exponential of the entropy of the singular values divided by their sum. NaN if these are not finite or all 0.
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
        second: embeddings (n, D) of another view, in the same order.
    """
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    own = torch.arange(len(first), device=first.device)
    return ((similarity.argmax(1) == own) & (similarity.argmax(0) == own)).float().mean().item()
