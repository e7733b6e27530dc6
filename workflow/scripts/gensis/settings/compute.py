"""Compute of a training in forward passes, so that two arms can be compared at equal compute."""

import math

from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining, Retraining

BACKWARD = 2
"""Cost of a backward pass, in forward passes (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)."""
FORWARD_AND_BACKWARD = 1 + BACKWARD
"""Cost of a training step's forward and backward pass, in forward passes."""
LOCAL_SIDE = 96 / 224
"""Side of a local view relative to that of a global view, where `local_px` is `auto`."""


def passes(training: Pretraining, disentangles: bool) -> float:
    """Compute per image and epoch, in forward passes of a global view. Smaller views count by their number of pixels.

    Args:
        training: settings of the encoder's training.
        disentangles: whether it trains on interpolated images.
    """
    side = LOCAL_SIDE if training.views.local_px == "auto" else training.views.local_px / training.image_px
    trained = 2 + training.views.local_crops * side**2
    has_teacher = METHODS[training.method].has_teacher
    of_teacher = 2.0 if has_teacher else 0.0
    if isinstance(training, Retraining) and training.adds_views:
        trained += 1
    if disentangles and isinstance(training, Retraining):
        partners = training.disentangle_probability * (2 if training.disentangle_targets == "both" else 1)
        trained += training.disentangle_probability + (0 if has_teacher else partners)
        of_teacher += partners if has_teacher else 0
    return of_teacher + FORWARD_AND_BACKWARD * trained


def epochs_to_match(epochs: int, passes_of_other: float, passes_of_own: float) -> int:
    """The fewest epochs whose compute is at least that of another training's ``epochs``."""
    return math.ceil(round(epochs * passes_of_other / passes_of_own, 6))
