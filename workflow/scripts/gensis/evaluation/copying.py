"""Near duplicates: generated images that copy their source."""

import numpy as np
import torch

NEIGHBOURS = 50
"""Nearest real images of a source, itself included."""
RATIO = 1 / 3
_CHUNK_VALUES = 1 << 24


def near_duplicates(generated: np.ndarray, sources: np.ndarray, real: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Whether each image is a near duplicate of its source, with a copy ratio below 1/3: bool (n,).

    Arguments as in `copy_ratios`.
    """
    return copy_ratios(generated, sources, real, own) < RATIO


def copy_ratios(generated: np.ndarray, sources: np.ndarray, real: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Distance of each image to its source, relative to its distance to the source's neighbours.

    This is the ratio of Carlini et al. 2023 (arXiv 2301.13188), for a known source.

    Args:
        generated: float32 (n, P): pixels of generated images.
        sources: float32 (n, P): pixels of their sources.
        real: float32 (R, P): pixels of real images, R > 1.
        own: int64 (n,): row of the source in ``real``; -1 if ``real`` does not contain it.

    Returns:
        float32 (n,): distance to the source over mean distance to its 2nd to 50th neighbours among ``real``.
    """
    reference = torch.from_numpy(real)
    count = min(NEIGHBOURS - 1, len(real) - 1)
    rows = max(1, _CHUNK_VALUES // len(real))
    found = []
    for image, source, row in zip(*(torch.from_numpy(values).split(rows) for values in (generated, sources, own))):
        from_source = torch.cdist(source, reference)
        itself = torch.arange(len(real)) == row[:, None]
        neighbours = from_source.masked_fill(itself, torch.inf).topk(count, largest=False).indices
        apart = torch.cdist(image, reference).gather(1, neighbours).mean(1)
        distance = (image - source).norm(dim=1)
        found.append(torch.where(distance > 0, distance / apart, 0))  # 0 / 0 if source, copy and neighbours are equal
    return torch.cat(found).numpy()


def nearest_others(real: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Row of the real image that is nearest to each of some real images: int64 (n,).

    Args:
        real: float32 (R, P): pixels of real images, R > 1.
        own: int64 (n,): rows of ``real``.
    """
    reference = torch.from_numpy(real)
    rows = max(1, _CHUNK_VALUES // len(real))
    found = []
    for row in torch.from_numpy(own).split(rows):
        distance = torch.cdist(reference[row], reference)
        found.append(distance.scatter_(1, row[:, None], torch.inf).argmin(1))
    return torch.cat(found).numpy()
