"""Exact nearest neighbours by cosine similarity."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gensis.errors import UserError
from gensis.threads import in_threads
from gensis.training.device import copied

CHUNK_BYTES = 1 << 28
_FAN = 5

Measured = TypeVar("Measured")


def neighbours(
    train: np.ndarray,
    test: np.ndarray,
    k: int,
    *,
    device: torch.device,
    chunk_bytes: int = CHUNK_BYTES,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The k nearest training images of each test image, nearest first, in chunks of test images.

    Args:
        train: float32 (N, D).
        test: float32 (M, D).
        k: number of neighbours, at most N.
        device: device that the similarities are computed on.
        chunk_bytes: largest size of the similarities in memory; it does not change the result.
        groups: int (N,) of train and (M,) of test, or (M, G) if each test image belongs to several. Training images of
            a test image's own groups are no neighbours; at least k others must remain.

    Returns:
        For each chunk: cosines, float32 (m, k), and indices into train, int64 (m, k).
    """
    return by_chunks(
        lambda cosine, _: largest(cosine, k), train, test, device=device, chunk_bytes=chunk_bytes, groups=groups
    )


def nearest_others(features: np.ndarray, rows: np.ndarray, k: int, device: torch.device) -> np.ndarray:
    """The k nearest images of some images among all others, nearest first.

    Args:
        features: float32 (N, D) of all images.
        rows: int64 (n,): the images whose neighbours are searched.
        k: number of neighbours.
        device: device that the similarities are computed on.

    Returns:
        int64 (n, k): rows; never that of the image itself.

    Raises:
        UserError: there are fewer than k other images.
    """
    if k >= len(features):
        raise UserError(
            f"{k} neighbours of each image were asked for, but there are {len(features) - 1}: ask for fewer"
        )
    own = torch.from_numpy(rows).to(device)

    def nearest(cosine: Tensor, chosen: slice) -> Tensor:
        cosine.scatter_(1, own[chosen, None], -torch.inf)
        return largest(cosine, k)[1]

    found = by_chunks(nearest, features, features[rows], device=device)
    return np.concatenate([np.empty((0, k), np.int64), *(each.cpu().numpy() for each in found)])


def by_chunks(
    measure: Callable[[Tensor, slice], Measured],
    train: np.ndarray,
    test: np.ndarray,
    *,
    device: torch.device,
    chunk_bytes: int = CHUNK_BYTES,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> Iterator[Measured]:
    """Apply a function to the similarities of each chunk of test images, in order.

    On a CPU, each thread works on its own chunk. Threads that share each operation wait for each other, which takes 1.3
    to 2 times as long with 2 threads.

    Args:
        measure: function of cosines, float32 (m, N), and the slice of test rows. The cosines are -inf within a group,
            and are overwritten by the next chunk.
        train: float32 (N, D).
        test: float32 (M, D).
        device: see `neighbours`.
        chunk_bytes: see `neighbours`.
        groups: see `neighbours`.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    most = max(1, chunk_bytes // (4 * len(train) * threads))
    chunks = -(-len(test) // (most * threads)) * threads  # a multiple, so that no thread is idle
    rows = max(1, -(-len(test) // max(chunks, 1)))
    index = normalize(torch.from_numpy(train).to(device))
    buffers = torch.empty((threads, rows, len(train)), device=device)

    def chunk(start: int, buffer: Tensor) -> Measured:
        chosen = slice(start, min(start + rows, len(test)))
        queries = normalize(copied(torch.from_numpy(test[chosen]), device))
        cosine = torch.mm(queries, index.T, out=buffer[: len(queries)])
        if groups:
            for of_test in groups[1].reshape(len(test), -1).T:
                own = torch.from_numpy(of_test[chosen, None] == groups[0])
                cosine.masked_fill_(copied(own, device), -torch.inf)
        return measure(cosine, chosen)

    starts = range(0, len(test), rows)
    if device.type != "cpu":
        yield from (chunk(start, buffers[0]) for start in starts)
        return
    for first in range(0, len(starts), threads):
        yield from in_threads(threads, chunk, starts[first : first + threads], buffers)


def largest(values: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """``values.topk(k, dim=1)``, in about half the time if there are many columns.

    The k largest values lie in the k blocks of columns with the largest maxima, which are found recursively.
    """
    columns = values.shape[1]
    blocks = columns // _FAN
    if blocks < 2 * k:
        return values.topk(k, dim=1, sorted=sorted)
    maxima = values[:, : blocks * _FAN].unflatten(1, (_FAN, blocks)).amax(dim=1)
    best = largest(maxima, k, sorted=False)[1]
    members = best[:, None] + blocks * torch.arange(_FAN, device=values.device)[:, None]
    left_over = torch.arange(blocks * _FAN, columns, device=values.device).expand(len(values), -1)
    candidates = torch.cat([members.flatten(1), left_over], dim=1)
    found, position = values.gather(1, candidates).topk(k, dim=1, sorted=sorted)
    return found, candidates.gather(1, position)
