"""Nearest neighbours by cosine, exactly."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import normalize

from gensis.threads import in_threads

CHUNK_BYTES = 1 << 28
_FAN = 5

Measured = TypeVar("Measured")


def neighbours(
    train: np.ndarray,
    test: np.ndarray,
    k: int,
    device: torch.device,
    chunk_bytes: int = CHUNK_BYTES,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The k nearest training images of each test image, nearest first, for a chunk of test images after the other.

    Args:
        train: float32 (N, D).
        test: float32 (M, D).
        k: number of neighbours, not above N.
        device: where the similarities are computed.
        chunk_bytes: bound on the similarities held at once; it does not change the result.
        groups: int (N,) of train and (M,) of test: those of a test image's own group are none of its neighbours; each
            needs k others then.

    Returns:
        Of each chunk: cosines, float32 (m, k), and indices into train, int64 (m, k).
    """
    return by_chunks(lambda cosine, _: largest(cosine, k), train, test, device, chunk_bytes, groups)


def by_chunks(
    measure: Callable[[Tensor, slice], Measured],
    train: np.ndarray,
    test: np.ndarray,
    device: torch.device,
    chunk_bytes: int = CHUNK_BYTES,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> Iterator[Measured]:
    """What is measured of the similarities of each chunk of test images, chunk after chunk.

    On a CPU each thread works on a chunk of its own: torch's threads would wait for OpenBLAS's in every operation, and
    both wait by spinning.

    Args:
        measure: of cosines float32 (m, N), -inf within a group and overwritten by the next chunk, and the test rows.
        train: as in `neighbours`, like all that follow.
        test: see there.
        device: see there.
        chunk_bytes: see there.
        groups: see there.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    most = max(1, chunk_bytes // (4 * len(train) * threads))
    chunks = -(-len(test) // (most * threads)) * threads  # no thread is left without one
    rows = max(1, -(-len(test) // max(chunks, 1)))
    bank = normalize(torch.from_numpy(train).to(device), out=_empty(train.shape, device))
    buffers = _empty((threads, rows, len(train)), device)

    def chunk(start: int, buffer: Tensor) -> Measured:
        chosen = slice(start, min(start + rows, len(test)))
        queries = normalize(torch.from_numpy(test[chosen]).to(device))
        cosine = _product(queries, bank, buffer[: len(queries)])
        if groups:
            own = torch.from_numpy(groups[1][chosen, None] == groups[0])
            cosine.masked_fill_(own.to(device), -torch.inf)
        return measure(cosine, chosen)

    starts = range(0, len(test), rows)
    if device.type != "cpu":
        yield from (chunk(start, buffers[0]) for start in starts)
        return
    for first in range(0, len(starts), threads):
        with threadpool_limits(1, "blas"):
            measured = in_threads(threads, chunk, starts[first : first + threads], buffers)
        yield from measured


def _empty(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """float32 memory; on a CPU NumPy's, which asks the kernel for large pages: products are 3 % faster from these."""
    return torch.from_numpy(np.empty(shape, np.float32)) if device.type == "cpu" else torch.empty(shape, device=device)


def _product(queries: Tensor, bank: Tensor, out: Tensor) -> Tensor:
    """``queries @ bank.T`` into ``out``. On a CPU by NumPy's OpenBLAS, a tenth faster there than torch's MKL on AMD."""
    if out.device.type != "cpu":
        return torch.mm(queries, bank.T, out=out)
    np.matmul(queries.numpy(), bank.numpy().T, out=out.numpy())
    return out


def largest(values: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """As ``values.topk(k, dim=1)``, in half the time where there are many columns.

    The k largest lie in the k blocks of columns whose maxima are largest, and these are found in the same way.
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
