"""The ways in which self-distillation collapses, told from two entropies of the teacher's targets.

All bounds are parts of ln K, the largest entropy over K prototypes. In trainings of a small network on 10,000 images
of 32 px with 1,024 prototypes, those that learnt had 0.16 to 0.82 of it for an image, 0.63 to 1.00 for the mean of a
batch, and 0.14 or more between the two; one that collapsed had 0.995, 1.00 and 0.004.
"""

import math

FEW = 0.05
"""A batch's mean target is almost one prototype: 0.35 nats of K = 1,024 are 1.4 prototypes."""
UNIFORM = 0.99
SAME = 0.01
"""What the prototype of an image tells of the image: mutual information is the difference of the two entropies."""


def collapse(teacher_entropy: float, teacher_batch_entropy: float, prototypes: int) -> str:
    """Say how the teacher has collapsed.

    Args:
        teacher_entropy: mean entropy of an image's target, nats.
        teacher_batch_entropy: entropy of a batch's mean target, nats; never below the other.
        prototypes: K.

    Returns:
        What has happened and what helps; empty if nothing has.
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
