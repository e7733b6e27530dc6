"""Values of a step that follow a schedule."""

from dataclasses import dataclass

import numpy as np

from gensis.settings.pretraining import Pretraining, Ramp, Retraining
from gensis.ssl.schedules import cosine, linear, warmup_cosine


@dataclass(frozen=True)
class Rates:
    """Scheduled values of one step that all methods have; columns of the history."""

    learning_rate: float
    weight_decay: float


def rates_of(step: int, steps: int, batch_size: int, settings: Pretraining) -> Rates:
    """The rates of step number ``step`` (from 0) of ``steps`` with ``batch_size`` images each."""
    peak = settings.learning_rate * batch_size / 256
    return Rates(
        warmup_cosine(
            peak, settings.minimum_learning_rate, step=step, steps=steps, warmup=round(settings.warmup * steps)
        ),
        cosine(*settings.weight_decay, step, steps),
    )


def generative_probability(step: int, steps: int, settings: Retraining) -> float:
    """Probability that a view of step number ``step`` comes from the bank."""
    given = settings.generative_probability
    if not isinstance(given, Ramp):
        return given
    return (cosine if given.shape == "cosine" else linear)(given.start, given.end, step, steps)


def disentangles_at(step: int, seed: int, settings: Retraining) -> bool:
    """Whether step number ``step`` computes the disentanglement loss; the same in all processes."""
    return np.random.default_rng([seed, step]).random() < settings.disentangle_probability
