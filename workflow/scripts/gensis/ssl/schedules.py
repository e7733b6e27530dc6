"""Schedules of the original code (facebookresearch/dino, utils.py) as pure functions of the step."""

import math


def cosine(start: float, end: float, step: int, steps: int) -> float:
    """From ``start`` at step 0 along half a cosine to ``end``, which step number ``steps`` would reach."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / steps))


def linear(start: float, end: float, step: int, steps: int) -> float:
    """From ``start`` at step 0 straight to ``end``, which step number ``steps`` would reach."""
    return start + (end - start) * step / steps


def linear_warmup(start: float, end: float, step: int, warmup: int) -> float:
    """Linear from ``start`` at step 0 to ``end`` in the last of ``warmup`` steps, then constant."""
    return end if step >= warmup else start + (end - start) * step / max(warmup - 1, 1)


def warmup_cosine(peak: float, end: float, *, step: int, steps: int, warmup: int) -> float:
    """Linear from 0 at step 0 to ``peak`` in the last of ``warmup`` steps, then along half a cosine to ``end``."""
    if step < warmup:
        return linear_warmup(0.0, peak, step, warmup)
    return cosine(peak, end, step - warmup, steps - warmup)
