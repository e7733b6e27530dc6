"""Detects collapse of self-distillation from two entropies of the teacher's targets.

All bounds are fractions of ln K, the largest entropy over K prototypes. In trainings of a small network on 10,000
images of 32 px with 1,024 prototypes, healthy trainings had an entropy of 0.16 to 0.82 per image, 0.63 to 1.00 for the
mean of a batch, and a difference of at least 0.14; a collapsed training had 0.995, 1.00 and 0.004.
"""

import math

FEW = 0.05
"""Entropy of a batch's mean target if it is almost one prototype: 0.35 nats of K = 1,024 are 1.4 prototypes."""
UNIFORM = 0.99
"""Entropy of an image's target if it is almost uniform."""
SAME = 0.01
"""Difference of the two entropies: the mutual information between image and prototype."""


def collapse(teacher_entropy: float, teacher_batch_entropy: float, prototypes: int) -> str:
    """Describe how the teacher has collapsed.

    Args:
        teacher_entropy: mean entropy of an image's target, nats.
        teacher_batch_entropy: entropy of a batch's mean target, nats; at least teacher_entropy.
        prototypes: K.

    Returns:
        Kind of collapse and what to change; empty if there is none.
    """
    if prototypes < 2:
        return ""
    of_image, of_batch = (entropy / math.log(prototypes) for entropy in (teacher_entropy, teacher_batch_entropy))
    if of_batch < FEW:
        return "all images share one prototype (both entropies near 0): lower centre_momentum"
    if of_image > UNIFORM:
        return "targets are uniform (both entropies near ln K): lower teacher_temperature"
    if of_batch - of_image < SAME:
        return "all images get the same target (both entropies are equal): lower learning_rate"
    return ""
