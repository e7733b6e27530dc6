"""Diversity: differences between two images of one condition, in other spaces than that of the condition.

In the condition's own space, diversity would follow from fidelity: two images with cosine f to the condition and
independent errors have the cosine f^2 with each other.
"""

import numpy as np

from gensis.evaluation.fidelity import cosines


def direction_distances(first: np.ndarray, second: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """1 - cosine of centred embeddings, about 1 for unrelated images if ``centre`` is the mean of real images.

    Embeddings of an untrained network all have nearly the same direction, so that cosines without centring are all
    close to 1.

    Args:
        first: float (n, D).
        second: float (n, D), the other image of each pair.
        centre: float (D,), subtracted from both.
    """
    return 1 - cosines(first - centre, second - centre)


def pixel_deviations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Standard deviation between the two images of each pair, root mean square over pixels: (n,) from two (n, P)."""
    return (np.square(first - second).mean(axis=1) / 2) ** 0.5
