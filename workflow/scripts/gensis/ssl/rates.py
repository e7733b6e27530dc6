"""Values of a step that follow a schedule."""

from dataclasses import dataclass

import numpy as np

from gensis.settings.pretraining import Pretraining, Ramp, Retraining
from gensis.ssl.auto import Resolved
from gensis.ssl.schedules import cosine, linear, linear_warmup, warmup_cosine


@dataclass(frozen=True)
class Rates:
    """Scheduled values of one step; columns of the history."""

    learning_rate: float
    weight_decay: float
    teacher_momentum: float
    teacher_temperature: float


def rates_of(step: int, steps: int, batch_size: int, settings: Pretraining, resolved: Resolved) -> Rates:
    """The rates of step number ``step`` (from 0) of ``steps`` with ``batch_size`` images each."""
    peak = settings.learning_rate * batch_size / 256
    temperature_warmup = round(resolved.teacher_temperature_warmup * steps)
    return Rates(
        warmup_cosine(peak, settings.minimum_learning_rate, step, steps, round(resolved.warmup * steps)),
        cosine(*settings.weight_decay, step, steps),
        cosine(resolved.teacher_momentum, 1.0, step, steps),
        linear_warmup(resolved.teacher_temperature_start, resolved.teacher_temperature, step, temperature_warmup),
    )


def is_last_layer_frozen(step: int, steps: int, settings: Pretraining) -> bool:
    """Whether the prototypes are frozen in this step."""
    return step < round(settings.freeze_last_layer * steps)


def generative_probability(step: int, steps: int, settings: Retraining) -> float:
    """Probability that a view of step number ``step`` comes from the bank."""
    given = settings.generative_probability
    if not isinstance(given, Ramp):
        return given
    return (cosine if given.shape == "cosine" else linear)(given.start, given.end, step, steps)


def disentangles_at(step: int, seed: int, settings: Retraining) -> bool:
    """Whether step number ``step`` computes the disentanglement loss; the same in all processes."""
    return np.random.default_rng([seed, step]).random() < settings.disentangle_probability
