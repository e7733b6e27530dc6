"""Whether generated images show what they were generated from: their embeddings beside their conditions."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

MOST_ALPHAS = 8
_ALPHA_GROUPS = 5
_CHUNK_BYTES = 1 << 28


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each row of float (n, D) with its counterpart: float (n,)."""
    first, second = (x / np.linalg.norm(x, axis=1, keepdims=True).clip(min=1e-12) for x in (first, second))
    return (first * second).sum(1)


def ranks(queries: np.ndarray, targets: np.ndarray, features: np.ndarray, device: torch.device) -> np.ndarray:
    """How near each query lies to its target by cosine, among all real images: 1 is nearest.

    Args:
        queries: float32 (n, D).
        targets: int64 (n,): rows of ``features``.
        features: float32 (N, D).
        device: where the similarities are computed.

    Returns:
        int64 (n,), from 1 to N; of equally near images the target counts as nearest.
    """
    bank = normalize(torch.from_numpy(features).to(device))
    found = []
    rows = max(1, _CHUNK_BYTES // (4 * len(bank)))
    for query, target in zip(torch.from_numpy(queries).split(rows), torch.from_numpy(targets).split(rows)):
        similarity = normalize(query.to(device)) @ bank.T
        own = similarity.gather(1, target.to(device)[:, None])
        found.append(1 + (similarity > own).sum(1))
    return torch.cat(found).cpu().numpy()


def along_alpha(alpha: np.ndarray, **values: np.ndarray) -> list[dict[str, Any]]:
    """Means of values by alpha; where there are many, by groups of neighbouring ones, equally many images each.

    Args:
        alpha: float (n,).
        values: name -> (n,).

    Returns:
        By ascending alpha: ``alpha``, ``n`` and the means by name.
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
