"""Generated images that copy the one they were generated from."""

import numpy as np
import torch

NEIGHBOURS = 50
"""The source is the first; its distance is compared with those of the others."""
RATIO = 1 / 3
_CHUNK_VALUES = 1 << 24


def near_duplicates(generated: np.ndarray, sources: np.ndarray, real: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Whether each image lies within a third of the distance that it has to its source's neighbours: bool (n,).

    The arguments are those of `copy_ratios`.
    """
    return copy_ratios(generated, sources, real, own) < RATIO


def copy_ratios(generated: np.ndarray, sources: np.ndarray, real: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Distance of each image to its source, as a part of that to the source's neighbours.

    The ratio of Carlini et al. 2023 (arXiv 2301.13188), for a source that is known.

    Args:
        generated: float32 (n, P): pixels.
        sources: float32 (n, P): pixels of what it was generated from.
        real: float32 (R, P): pixels of real images, R > 1.
        own: int64 (n,): row of the source in ``real``; -1 where it is not there.

    Returns:
        float32 (n,): distance to the source over mean distance to its 2nd to 50th neighbours among ``real``.
    """
    bank = torch.from_numpy(real)
    count = min(NEIGHBOURS - 1, len(real) - 1)
    rows = max(1, _CHUNK_VALUES // len(real))
    found = []
    for image, source, row in zip(*(torch.from_numpy(values).split(rows) for values in (generated, sources, own))):
        from_source = torch.cdist(source, bank)
        itself = torch.arange(len(real)) == row[:, None]
        neighbours = from_source.masked_fill(itself, torch.inf).topk(count, largest=False).indices
        apart = torch.cdist(image, bank).gather(1, neighbours).mean(1)
        distance = (image - source).norm(dim=1)
        found.append(torch.where(distance > 0, distance / apart, 0))  # 0 / 0: source, copy and neighbours are the same
    return torch.cat(found).numpy()


def nearest_others(real: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Row of the real image nearest to each of some: int64 (n,). What resembles it without having been generated.

    Args:
        real: float32 (R, P), R > 1.
        own: int64 (n,): rows of ``real``.
    """
    bank = torch.from_numpy(real)
    rows = max(1, _CHUNK_VALUES // len(real))
    found = []
    for row in torch.from_numpy(own).split(rows):
        distance = torch.cdist(bank[row], bank)
        found.append(distance.scatter_(1, row[:, None], torch.inf).argmin(1))
    return torch.cat(found).numpy()
