"""Distances between two sets of images in a feature space."""

import numpy as np

BLOCKS = 10


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance between Gaussians fitted to two sets (FID: Heusel et al. 2017, arXiv 1706.08500).

    With covariances S = R'R, the trace of (S1 S2)^(1/2) is the sum of the singular values of R1 R2'. This takes no
    roots of values that rounding could make negative, and costs less for sets with fewer images than features.

    Args:
        first: float (N, D).
        second: float (M, D). The distance is biased upwards for small N and M: compare only sets of equal sizes.
    """
    (first_mean, first_root), (second_mean, second_root) = map(_gaussian, (first, second))
    common = np.linalg.svd(first_root @ second_root.T, compute_uv=False).sum()
    apart = ((first_mean - second_mean) ** 2).sum()
    return float(apart + (first_root**2).sum() + (second_root**2).sum() - 2 * common)


def _gaussian(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and a root R of the covariance R'R: float64 (D,) and (min(N, D), D)."""
    features = features.astype(np.float64)
    mean = features.mean(0)
    return mean, np.linalg.qr((features - mean) / np.sqrt(len(features) - 1), mode="r")


def kernel_distance(first: np.ndarray, second: np.ndarray, blocks: int = BLOCKS) -> tuple[float, float]:
    """Unbiased squared maximum mean discrepancy with the kernel (x'y / D + 1)^3 (KID, arXiv 1801.01401).

    Args:
        first: float (N, D).
        second: float (M, D). Of the larger set, only the first images are used.
        blocks: blocks of the jackknife, of at least two images each.

    Returns:
        The distance, and its standard error by the jackknife over blocks.
    """
    size = min(len(first), len(second)) // blocks
    first, second = (images[: blocks * size].astype(np.float64) for images in (first, second))
    within = [_block_sums(images, images, blocks) for images in (first, second)]
    itself = [
        _kernel_of((images**2).sum(1), images.shape[1]).reshape(blocks, size).sum(1) for images in (first, second)
    ]
    across = _block_sums(first, second, blocks)

    def distance(chosen: np.ndarray) -> float:
        count, part = size * len(chosen), np.ix_(chosen, chosen)
        pairs = sum(sums[part].sum() - own[chosen].sum() for sums, own in zip(within, itself))
        return float(pairs / (count * (count - 1)) - 2 * across[part].sum() / count**2)

    numbers = np.arange(blocks)
    without = [distance(numbers[numbers != left_out]) for left_out in numbers]
    return distance(numbers), float(np.std(without) * (blocks - 1) ** 0.5)


def _block_sums(first: np.ndarray, second: np.ndarray, blocks: int) -> np.ndarray:
    """Kernel values of all pairs of images, summed over pairs of blocks: (blocks, blocks)."""
    rows = (_kernel_of(part @ second.T, second.shape[1]).sum(0) for part in np.split(first, blocks))
    return np.stack([row.reshape(blocks, -1).sum(1) for row in rows])


def _kernel_of(product: np.ndarray, features: int) -> np.ndarray:
    return (product / features + 1) ** 3
