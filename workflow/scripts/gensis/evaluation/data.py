"""What a task is measured on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from gensis.evaluation.bags import Slides, slides_of
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.outcomes import Survival, halves, values_of
from gensis.evaluation.protocol import Protocol, leave_group_out, plan, plan_numbers
from gensis.settings.evaluation import Evaluation
from gensis.settings.tasks import Task

Corrupted = Callable[[str, np.ndarray], np.ndarray]
"""Function of the name of a corruption (``blur-3``) and int64 (n,) rows of images: float32 (n, D) embeddings of the
corrupted images."""
Views = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Function of int64 (n,) rows of images in the embeddings: float32 (n, D) features of the images and of their mirror
images."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """Labelled embeddings, settings and further inputs of a task."""

    name: str
    """Name of the task."""
    task: Task
    labelled: Labelled
    settings: Evaluation
    seed: int
    """Seed of all that the task draws at random."""
    device: torch.device
    corrupted: Corrupted | None
    """Embeddings of corrupted test images, for tasks whose `inputs` name them."""
    last_blocks: Views | None
    """Features of the last blocks, for tasks whose `inputs` name them."""

    @cached_property
    def items(self) -> Labelled | Slides:
        """The tested and trained items: images, or bags for a task on slides.

        Raises:
            Unmeasurable: there are no bags (`slides_of`).
        """
        return slides_of(self.labelled, self.settings.bags) if self.task.level == "slide" else self.labelled

    @cached_property
    def features(self) -> np.ndarray:
        """float32 (n, D): embedding of each item, the mean of a bag's embeddings for a task on slides."""
        return self.items.means() if isinstance(self.items, Slides) else self.items.features

    @cached_property
    def survival(self) -> Survival:
        """Outcomes of the items, for a task that predicts survival."""
        return Survival.of(self.items)

    @cached_property
    def values(self) -> np.ndarray:
        """Values of the items, float64 (n,), for a task that predicts numbers."""
        return values_of(self.items)

    @cached_property
    def protocol(self) -> Protocol:
        """Rounds of training and testing, by the splits or a cross-validation stratified by class or outcome.

        Raises:
            Unmeasurable: there are too few labels, classes or groups.
            UserError: a group is in both train and test.
        """
        items, folds = self.items, self.settings.folds
        if self.task.target in ("survival", "regression"):
            strata = self.survival.strata if self.task.target == "survival" else halves(self.values)
            return plan_numbers(strata, items.groups, items.splits, folds)
        planned = plan(items.labels, items.groups, items.splits, folds)
        return planned if self.task.is_fitted else leave_group_out(planned)

    @property
    def commonest_class(self) -> int:
        """The most common class of train."""
        return int(np.bincount(self.items.labels[self.protocol.train]).argmax())
