"""Retrieval of images of a query's class: average precision, and precision at k.

Without a test split there are no intervals: each group is searched by all others, so that resampled queries alone would
give intervals that are far too narrow (they contain the true mean in three of four cases).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from gensis.evaluation.data import TaskData
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.measured import Measured, scored
from gensis.evaluation.neighbours import by_chunks

_CHUNK_BYTES = 1 << 26  # sorting takes several times as much memory


def measure(data: TaskData) -> Measured:
    """Scores of each item as a query, for which train is ranked or, without a test split, all other groups."""
    items, protocol, features = data.items, data.protocol, data.features
    train, test = protocol.rounds[0]
    largest_group = np.bincount(items.groups[train]).max() if protocol.transductive else 0
    scores, expected = retrieve(
        features[train],
        items.labels[train],
        features[test],
        items.labels[test],
        ks=[k for k in data.settings.knn if k <= len(train) - largest_group],
        device=data.device,
        groups=(items.groups[train], items.groups[test]) if protocol.transductive else None,
    )
    alone = np.isnan(scores["average_precision"])
    if alone.all():
        raise Unmeasurable("no query has an image of its class to be found: check the names of the classes")
    if protocol.transductive:
        data = replace(data, settings=data.settings.model_copy(update={"bootstrap": 0}))
    return scored(data, scores, expected, np.unique(items.labels[test][alone]))


def retrieve(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    ks: Sequence[int],
    device: torch.device,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
    chunk_bytes: int = _CHUNK_BYTES,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Retrieval scores of each query, with all of train ranked by cosine similarity.

    Args:
        train: float32 (N, D).
        labels: int (N,).
        test: float32 (M, D), the queries.
        test_labels: int (M,).
        ks: ranks k of precision at k, at most the number of images that are ranked for a query.
        device: device that the similarities are computed and sorted on.
        groups: int (N,) of train and (M,) of test. Training images of a query's own group are not ranked.
        chunk_bytes: largest size of the similarities in memory; it does not change the result.

    Returns:
        ``average_precision`` and ``precision_k<k>``, float64 (M,), NaN if no image in train has the query's class; and
        their expectations for a random order.
    """
    of_train, of_test = (torch.from_numpy(each).to(device) for each in (labels, test_labels))
    ranks = torch.arange(1, len(train) + 1, device=device, dtype=torch.float64)

    def score(cosine: torch.Tensor, chosen: slice) -> dict[str, np.ndarray]:
        ranked = cosine.isfinite()
        relevant = ranked & (of_train == of_test[chosen, None])
        counts = {"relevant": relevant.sum(dim=1), "ranked": ranked.sum(dim=1)}
        relevant = relevant.gather(1, cosine.argsort(dim=1, descending=True))
        precision = relevant.cumsum(dim=1) / ranks
        scores = {"average_precision": (precision * relevant).sum(dim=1) / relevant.sum(dim=1)}
        scores |= {f"precision_k{k}": precision[:, k - 1] for k in ks}
        return {name: values.cpu().numpy() for name, values in (counts | scores).items()}

    parts = list(by_chunks(score, train, test, device=device, chunk_bytes=chunk_bytes, groups=groups))
    scores = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    expected, share = by_chance(scores.pop("relevant"), scores.pop("ranked"))
    known = share > 0
    found = {name: np.where(known, values, np.nan) for name, values in scores.items()}
    return found, {name: np.where(known, expected if name == "average_precision" else share, np.nan) for name in found}


def by_chance(relevant: np.ndarray, ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected average precision, and precision at any rank, of a random order.

    Args:
        relevant: int (M,), number of ranked images of the query's class.
        ranked: int (M,), number of ranked images, two or more.

    Returns:
        float64 (M,) each.
    """
    harmonic = np.cumsum(1 / np.arange(1, ranked.max() + 1))[ranked - 1]
    expected = ((relevant - 1) / (ranked - 1) * (ranked - harmonic) + harmonic) / ranked
    return expected, relevant / ranked
