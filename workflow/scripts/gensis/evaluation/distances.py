"""Distances between two sets of images in a space of features."""

import numpy as np

BLOCKS = 10


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance between the Gaussians that fit two sets (Heusel et al. 2017, arXiv 1706.08500).

    With covariances S = R'R, the trace of (S1 S2)^(1/2) is the sum of the singular values of R1 R2': nothing that
    rounding could make negative is rooted, and sets with fewer images than features cost less.

    Args:
        first: float (N, D).
        second: float (M, D). The distance grows as N and M fall: compare only distances between sets of equal sizes.
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
    """Squared maximum mean discrepancy, unbiased, with the kernel (x'y / D + 1)^3 (KID, arXiv 1801.01401).

    Args:
        first: float (N, D).
        second: float (M, D).
        blocks: equal parts of both sets, of two images or more, whose distances are averaged.

    Returns:
        The distance, and its standard error as the blocks, which share no image, tell it.
    """
    size = min(len(first), len(second)) // blocks
    parts = (slice(start, start + size) for start in range(0, blocks * size, size))
    values = [_discrepancy(first[part].astype(np.float64), second[part].astype(np.float64)) for part in parts]
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(blocks))


def _discrepancy(first: np.ndarray, second: np.ndarray) -> float:
    return (
        _mean_of_others(_kernel(first, first))
        + _mean_of_others(_kernel(second, second))
        - 2 * float(_kernel(first, second).mean())
    )


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _mean_of_others(kernel: np.ndarray) -> float:
    """Mean of what lies off the diagonal: an image beside itself is left out."""
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))
