"""What an SSL method is: its networks, its losses, and what it does after each update. See docs/extending.md."""

import pkgutil
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining
from gensis.ssl.batch import Batch
from gensis.ssl.networks import BackboneWithHead
from gensis.training.distributed import World

Automatic = dict[str, tuple[Any, str]]
"""Key that may be `auto` -> its automatic value, and the reason with its source."""


@dataclass(frozen=True)
class Losses:
    """Losses of some images of a batch."""

    loss: torch.Tensor
    """Scalar with gradients, to minimise."""
    logged: dict[str, torch.Tensor]
    """Scalars without gradients for the history, by column. The method's own loss has the method's name."""
    statistics: dict[str, torch.Tensor] = field(default_factory=dict)
    """Further means over the images, for `Method.after_update`."""


class Method(nn.Module, ABC):
    """The networks of an SSL method and all its state: parameters and buffers are saved in checkpoints.

    The trainer keeps batches, accumulation of gradients, optimizer, distribution and checkpoints.
    """

    student: BackboneWithHead
    """The network that is trained."""
    teacher: BackboneWithHead | None
    """Its moving average in train mode without gradients, if the method has one."""
    needs_patch_tokens = False
    """Whether the head reads more of a transformer's output than the class token."""

    def __init__(self, settings: Pretraining, backbones: list[nn.Module], world: World):
        """Build the heads, with torch's global generator.

        Args:
            settings: of the training, without `auto`.
            backbones: the student's and, if the registry says that there is one, the teacher's.
            world: this process among all.
        """
        super().__init__()
        self.settings, self.world = settings, world
        self.teacher = None
        self.build(*backbones)

    @staticmethod
    def automatic(settings: Pretraining, images: int, is_transformer: bool) -> Automatic:
        """Values of the method's own keys where they are `auto`; also of `warmup`, if it differs from the usual.

        Args:
            settings: of the training.
            images: number of images in the train split.
            is_transformer: whether the backbone is a transformer.
        """
        return {}

    @abstractmethod
    def build(self, *backbones: nn.Module) -> None:
        """Set `student` and, if there is one, `teacher`; see `__init__`."""

    def scheduled(self, step: int, steps: int) -> dict[str, float]:
        """Values that follow a schedule at step number ``step`` (from 0) of ``steps``; columns of the history."""
        return {}

    @abstractmethod
    def losses(self, student: nn.Module, batch: Batch, scheduled: dict[str, float]) -> Losses:
        """Losses of a batch, or of a part of it.

        They change no state of the method: a pass that does not fit in memory is repeated.

        Args:
            student: calls `student`; with several processes it also averages the gradients.
            batch: normalised views.
            scheduled: values of this step.
        """

    def before_update(self, step: int, steps: int) -> None:
        """Change the gradients of the whole batch before the optimizer uses them."""

    def after_update(self, statistics: dict[str, torch.Tensor], scheduled: dict[str, float]) -> dict[str, torch.Tensor]:
        """Update the teacher and other state.

        Args:
            statistics: those of `losses`, as means over the whole batch in all processes.
            scheduled: values of this step.

        Returns:
            Further scalars for the history.
        """
        return {}

    @property
    def networks(self) -> list[BackboneWithHead]:
        """The student and, if there is one, the teacher. The backbone of the last is published."""
        return [network for network in (self.student, self.teacher) if network]

    @property
    def encoder(self) -> nn.Module:
        """The backbone that is published: the teacher's if there is one."""
        return self.networks[-1].backbone

    def uniform_loss(self) -> float | None:
        """The method's own loss if all images have the same output, so that nothing is learnt; None: not known."""
        return None

    def collapse(self, row: dict[str, float]) -> str:
        """How the training has collapsed and what to change, from a row of the history; empty if it has not."""
        return ""


def method_class(name: str) -> type[Method]:
    """The class of a method of the registry."""
    return pkgutil.resolve_name(METHODS[name].implementation)
