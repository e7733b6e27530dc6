"""Fidelity: agreement between the embeddings of generated images and their conditions."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

MOST_ALPHAS = 8
_ALPHA_GROUPS = 5
_CHUNK_BYTES = 1 << 28


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine similarity of corresponding rows of two float (n, D): float (n,)."""
    first, second = (x / np.linalg.norm(x, axis=1, keepdims=True).clip(min=1e-12) for x in (first, second))
    return (first * second).sum(1)


def ranks(queries: np.ndarray, targets: np.ndarray, features: np.ndarray, device: torch.device) -> np.ndarray:
    """Rank of each query's target among all real images by cosine similarity; 1 is the nearest.

    Args:
        queries: float32 (n, D): embeddings of the queries.
        targets: int64 (n,): rows of the targets in ``features``.
        features: float32 (N, D): embeddings of all real images.
        device: device that the similarities are computed on.

    Returns:
        int64 (n,), from 1 to N; ties are resolved in favour of the target.
    """
    index = normalize(torch.from_numpy(features).to(device))
    found = []
    rows = max(1, _CHUNK_BYTES // (4 * len(index)))
    for query, target in zip(torch.from_numpy(queries).split(rows), torch.from_numpy(targets).split(rows)):
        similarity = normalize(query.to(device)) @ index.T
        own = similarity.gather(1, target.to(device)[:, None])
        found.append(1 + (similarity > own).sum(1))
    return torch.cat(found).cpu().numpy()


def along_alpha(alpha: np.ndarray, **values: np.ndarray) -> list[dict[str, Any]]:
    """Means of values by alpha. Many distinct alphas are binned into bins of equally many images.

    Args:
        alpha: float (n,).
        values: name -> (n,).

    Returns:
        One dictionary per alpha or bin, ascending: ``alpha``, ``n`` and the means by name.
    """
    distinct = np.unique(alpha)
    if len(distinct) <= MOST_ALPHAS:
        parts = [np.flatnonzero(alpha == value) for value in distinct]
    else:
        parts = np.array_split(np.argsort(alpha, kind="stable"), _ALPHA_GROUPS)
    return [
        {"alpha": float(alpha[part].mean()), "n": len(part)}
        | {name: float(value[part].mean()) for name, value in values.items()}
        for part in parts
    ]
