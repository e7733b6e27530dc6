"""Nearest neighbours by cosine, exactly."""

from collections.abc import Iterator

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import normalize

CHUNK_BYTES = 1 << 28
_FAN = 8


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

    Yields:
        Cosines, float32 (m, k), and indices into train, int64 (m, k).
    """
    for cosine in similarities(train, test, device, chunk_bytes, groups):
        yield largest(cosine, k)


def similarities(
    train: np.ndarray,
    test: np.ndarray,
    device: torch.device,
    chunk_bytes: int = CHUNK_BYTES,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> Iterator[Tensor]:
    """Cosines of test and train images, float32 (m, N), a chunk of test images after the other; -inf within a group.

    Each chunk takes the place of the one before. Arguments as in `neighbours`.
    """
    bank = normalize(torch.from_numpy(train).to(device))
    rows = min(max(1, chunk_bytes // (4 * len(train))), max(1, len(test)))
    buffer = torch.empty(rows, len(train), device=device)
    for start in range(0, len(test), rows):
        queries = normalize(torch.from_numpy(test[start : start + rows]).to(device))
        cosine = _product(queries, bank, buffer[: len(queries)])
        if groups:
            own = torch.from_numpy(groups[1][start : start + rows, None] == groups[0])
            cosine.masked_fill_(own.to(device), -torch.inf)
        yield cosine


def _product(queries: Tensor, bank: Tensor, out: Tensor) -> Tensor:
    """``queries @ bank.T`` into ``out``. On a CPU by NumPy's OpenBLAS, a tenth faster there than torch's MKL on AMD."""
    if out.device.type != "cpu":
        return torch.mm(queries, bank.T, out=out)
    with threadpool_limits(torch.get_num_threads(), "blas"):
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
