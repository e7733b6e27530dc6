"""What a head of multiple-instance learning is trained for: a class, survival, or a number."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from gensis.evaluation.cox import partial_likelihood_loss
from gensis.evaluation.outcomes import Survival, halves


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a head learns from training bags. Its outputs are (B, S, K) of S streams."""

    outputs: int
    """K."""
    targets: Tensor
    """Of the N training bags, (N,) or (N, 2)."""
    strata: np.ndarray
    """int (N,), of which a validation part has about equal shares."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """Function of outputs (B, S, K) and B targets: a scalar, the mean over bags and streams."""
    predict: Callable[[Tensor], Tensor]
    """Function of outputs (B, S, K): predictions, float64 (B, K), the mean over streams."""
    fewest_per_step: int = 1
    """Bags that a step has at least, if its loss compares them."""
    can_validate: Callable[[Tensor], bool] = lambda targets: True
    """Function of B targets: whether their loss depends on the outputs at all."""

    def to(self, device: torch.device) -> "Objective":
        """The same with targets on a device."""
        return replace(self, targets=self.targets.to(device))


def classification(labels: np.ndarray, classes: int) -> Objective:
    """Class probabilities, by cross-entropy with int64 (N,) labels."""
    return Objective(
        outputs=classes,
        targets=torch.from_numpy(labels),
        strata=labels,
        loss=streams_loss,
        predict=class_probabilities,
    )


def streams_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (B, S, K) and int64 (B,) targets, mean over bags and streams: a scalar."""
    return cross_entropy(logits.flatten(0, 1), targets.repeat_interleave(logits.shape[1]))


def class_probabilities(logits: Tensor) -> Tensor:
    """Class probabilities, float64 (B, K), of logits (B, S, K): the mean over streams."""
    return logits.double().softmax(dim=2).mean(dim=1)


def survival_risk(survival: Survival) -> Objective:
    """Log of the relative risk, by Cox's partial likelihood among the bags of a step.

    With the bags of a step as controls, n of them, the estimate has about n / (n + 1) of the precision of all bags
    (nested case-control sampling: Goldstein and Langholz 1992, Annals of Statistics 20).
    """
    return Objective(
        outputs=1,
        targets=torch.from_numpy(np.stack([survival.time, survival.event], axis=1)),
        strata=survival.strata,
        loss=lambda risk, targets: partial_likelihood_loss(mean_output(risk), *targets.T) / len(targets),
        predict=lambda risk: risk.double().mean(dim=1),
        fewest_per_step=8,
        can_validate=lambda targets: _has_comparable(*targets.T),
    )


def _has_comparable(time: Tensor, event: Tensor) -> bool:
    """Whether another bag is still at risk when one has its event; `time` and `event` are (B,)."""
    at_risk = (time >= time[event > 0][:, None]).sum(dim=1)
    return bool((at_risk > 1).any())


def regression(values: np.ndarray) -> Objective:
    """A number, by the squared error of float64 (N,) values, standardised."""
    mean, deviation = values.mean(), values.std() or 1.0
    return Objective(
        outputs=1,
        targets=torch.from_numpy((values - mean) / deviation).float(),
        strata=halves(values),
        loss=lambda outputs, targets: mse_loss(mean_output(outputs), targets),
        predict=lambda outputs: outputs.double().mean(dim=1) * deviation + mean,
    )


def mean_output(outputs: Tensor) -> Tensor:
    """The mean of (B, S, 1) outputs over streams, (B,)."""
    return outputs[..., 0].mean(dim=1)
