"""Evaluation tasks on random embeddings, in the pipeline's own code: what calibration times."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch

from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.measure import measure
from gensis.planning.evaluation_works import ALL_PAIRS
from gensis.planning.images import ImageSet
from gensis.settings.evaluation import Evaluation
from gensis.settings.units import Units

MOST_IMAGES, MOST_SLIDES = 2000, 60
CLASSES = 10
"""Of images whose labels no sheet lists."""


def trial_of_task(
    task: str, settings: Evaluation, labelled: Labelled, device: torch.device
) -> tuple[Callable[[], None], float]:
    """A function that measures a task once, and the units of work that it does."""

    def run() -> None:
        views = (labelled.features,) * 2
        with suppress(Unmeasurable):  # the study skips this task too
            measure(
                task,
                labelled,
                settings,
                seed=0,
                device=device,
                corrupted=lambda name, rows: labelled.features[rows],
                last_blocks=lambda rows: tuple(features[rows] for features in views),
            )

    tested = (labelled.splits == "test").sum() or len(labelled.features)
    trained = (labelled.splits != "test").sum()
    return run, float(tested * trained) if task in ALL_PAIRS else float(len(labelled.features))


def random_embeddings(images: ImageSet, units: Units, width: int) -> Labelled:
    """Random embeddings of some images of a data set, with the labels of its slides or, otherwise, random ones."""
    draw = np.random.default_rng(0)
    if units.rows and units.rows[0].path and len(units.units) == len(units.rows):
        every = np.linspace(0, len(units.units) - 1, min(MOST_SLIDES, len(units.units))).round().astype(int)
        chosen = [units.units[number] for number in every]
        count = max(min(round(images.images / images.units), MOST_IMAGES // len(chosen)), 1)
        unit = np.repeat(np.arange(len(chosen)), count)
        names, labels = np.unique([each.row.label for each in chosen], return_inverse=True)
        groups = np.unique([each.row.group or each.name for each in chosen], return_inverse=True)[1][unit]
        labels, splits = labels[unit], np.array([each.row.split for each in chosen])[unit]
        known, grouped = tuple(each.name for each in chosen), np.array([bool(each.row.group) for each in chosen])[unit]
    else:
        total = min(images.images, MOST_IMAGES)
        test = round(total * images.test / max(images.images, 1))
        names, labels = np.arange(CLASSES).astype(str), draw.integers(0, CLASSES, total)
        splits = np.repeat(["train", "test"] if test else ["", ""], [total - test, test])
        unit, known, groups, grouped = np.zeros(total, int), ("images",), np.arange(total), np.zeros(total, bool)
    return Labelled(
        features=draw.normal(size=(len(labels), width)).astype(np.float32),
        item=np.arange(len(labels)),
        labels=labels,
        groups=groups,
        splits=splits,
        unit=unit.astype(np.int32),
        classes=tuple(map(str, names)),
        units=known,
        grouped=grouped,
        has_test=bool((splits == "test").any()),
    )
