"""Weighted k-nearest-neighbour classification (Wu et al. 2018; temperature and k of DINO, arXiv 2104.14294)."""

from collections.abc import Sequence

import numpy as np
import torch

from gensis.evaluation.neighbours import CHUNK_BYTES, neighbours


def knn_probabilities(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    *,
    ks: Sequence[int],
    classes: int,
    temperature: float,
    device: torch.device,
    chunk_bytes: int = CHUNK_BYTES,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[int, np.ndarray]:
    """Class probabilities by the votes of the k nearest training images, weighted by exp(cosine / temperature).

    Args:
        train: float32 (N, D).
        labels: int (N,).
        test: float32 (M, D).
        ks: numbers of neighbours, at most N.
        classes: number of classes K.
        temperature: divides the cosine similarity.
        device: device that the similarities are computed on.
        chunk_bytes: largest size of the similarities in memory; it does not change the result.
        groups: int (N,) of train and (M,) of test, or (M, G) if each test image belongs to several. Training images of
            a test image's own groups do not vote; at least as many others as the largest k must remain.

    Returns:
        k -> float32 (M, K), rows summing to one.
    """
    train_labels = torch.from_numpy(labels).to(device)
    chunks = []
    for cosine, neighbour in neighbours(train, test, max(ks), device=device, chunk_bytes=chunk_bytes, groups=groups):
        # Relative to the nearest neighbour, so that the exponential cannot overflow; the shares are the same.
        weight = ((cosine - cosine[:, :1]) / temperature).exp()
        chunks.append(_shares(weight, train_labels[neighbour], sorted(set(ks)), classes))
    return {k: torch.cat([chunk[k] for chunk in chunks]).cpu().numpy() for k in chunks[0]}


def _shares(weight: torch.Tensor, label: torch.Tensor, ks: list[int], classes: int) -> dict[int, torch.Tensor]:
    """Share of each class in the votes, for each k in ascending order; votes are accumulated from k to k."""
    votes = weight.new_zeros(len(weight), classes)
    shares, done = {}, 0
    for k in ks:
        votes.scatter_add_(1, label[:, done:k], weight[:, done:k])
        shares[k] = votes / votes.sum(dim=1, keepdim=True)
        done = k
    return shares
