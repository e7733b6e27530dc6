"""Schedules over training: pure functions of the step."""

import math


def cosine(start: float, end: float, step: int, steps: int) -> float:
    """From ``start`` at step 0 along half a cosine to ``end`` at step ``steps - 1``."""
    part = min(step / max(steps - 1, 1), 1.0)
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * part))


def warmup_cosine(peak: float, end: float, step: int, steps: int, warmup: int) -> float:
    """Linear from near 0 to ``peak`` in ``warmup`` steps, then along half a cosine to ``end``."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return cosine(peak, end, step - warmup, steps - warmup)


def linear_warmup(start: float, end: float, step: int, warmup: int) -> float:
    """Linear from ``start`` to ``end`` in ``warmup`` steps, then constant."""
    return end if step >= warmup else start + (end - start) * step / warmup
