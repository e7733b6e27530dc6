"""Measure a task of the registry on labelled embeddings."""

from importlib import import_module

import torch

from gensis.evaluation.data import Corrupted, TaskData, Views
from gensis.evaluation.labelled import Labelled, in_order
from gensis.evaluation.measured import Measured
from gensis.settings.evaluation import Evaluation
from gensis.settings.tasks import find_task


def measure(
    name: str,
    labelled: Labelled,
    settings: Evaluation,
    *,
    seed: int,
    device: torch.device,
    corrupted: Corrupted | None = None,
    last_blocks: Views | None = None,
) -> Measured:
    """Train and test on one task.

    Args:
        name: name of the task (gensis.settings.tasks).
        labelled: labelled images.
        settings: settings of the evaluation.
        seed: seed of all that the task draws at random.
        device: device that it runs on.
        corrupted: embeddings of the corrupted test images, for tasks that need them.
        last_blocks: features of the last blocks, for tasks that need them.

    Raises:
        UserError: there is no such task.
        Unmeasurable: the task cannot be measured on these data; the message is the reason.
    """
    task = find_task(name)
    if set(labelled.classes) <= set(settings.ordered_classes):
        labelled = in_order(labelled, settings.ordered_classes)
    data = TaskData(
        name=name,
        task=task,
        labelled=labelled,
        settings=settings,
        seed=seed,
        device=device,
        corrupted=corrupted,
        last_blocks=last_blocks,
    )
    return import_module(task.module).measure(data)
