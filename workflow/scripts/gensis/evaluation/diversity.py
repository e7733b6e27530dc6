"""How much two images of one condition differ, in a space that the condition does not lie in.

In the condition's own space the figure would follow from fidelity: with cosine f to the condition and independent
errors two images have the cosine f^2.
"""

import numpy as np

from gensis.evaluation.fidelity import cosines


def direction_distances(first: np.ndarray, second: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """1 - cosine of embeddings about a centre: about 1 for unrelated images where it is the mean of real ones.

    All embeddings of an untrained network point nearly the same way, so that their plain cosines tell little.

    Args:
        first: float (n, D).
        second: float (n, D), the other image of each pair.
        centre: float (D,).
    """
    return 1 - cosines(first - centre, second - centre)


def pixel_deviations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Standard deviation of a pixel between the two images of a pair, root mean square over pixels: (n, P) to (n,)."""
    return (np.square(first - second).mean(axis=1) / 2) ** 0.5
