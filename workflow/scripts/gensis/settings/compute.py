"""What a training costs in passes through the networks, so that one arm can be made as long as another."""

import math

from gensis.settings.pretraining import Pretraining, Retraining

BACKWARD = 2
"""Forward passes that a backward pass costs (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)."""
LOCAL_SIDE = 96 / 224
"""Of a local view, as a part of a global one's, where the backbone decides it."""


def passes(training: Pretraining, disentangles: bool) -> float:
    """What an image costs each time that it is seen, in forward passes of a global view; smaller views by their pixels.

    Args:
        training: of which encoder.
        disentangles: whether it has images between two sources.
    """
    side = LOCAL_SIDE if training.views.local_px == "auto" else training.views.local_px / training.image_px
    student, teacher = 2 + training.views.local_crops * side**2, 2.0
    if disentangles and isinstance(training, Retraining):
        student += training.disentangle_probability
        teacher += training.disentangle_probability * (2 if training.disentangle_targets == "both" else 1)
    return teacher + (1 + BACKWARD) * student


def epochs_to_match(epochs: int, passes_of_other: float, passes_of_own: float) -> int:
    """The fewest epochs that have at least as many passes as another training's ``epochs``."""
    return math.ceil(round(epochs * passes_of_other / passes_of_own, 6))
