"""Training images of one data set and test images of another, with the same classes."""

from dataclasses import replace

import numpy as np

from gensis.evaluation.labelled import Labelled


def transferred(fit: Labelled, tested: Labelled) -> Labelled:
    """Images to test a classifier on, followed by images of another data set to fit it on.

    Classes are matched by name. All classes of ``fit`` are learnt, whatever is tested, so the classifier is the same
    for each tested data set. Groups of the two data sets are different groups, even if their names are equal.

    Args:
        fit: its train split is used, or all images if it has no test split.
        tested: its test split is used, or all images if it has none; images of classes that ``fit`` lacks are left out.

    Returns:
        The images, with the splits `train` and `test`; none if no class is in common. Units of ``fit`` follow those of
        ``tested``, so that slides of equal names stay apart. `item` refers to ``tested``, and is -1 for images of
        ``fit``.
    """
    fit = _of_split(fit, "train") if fit.has_test else fit
    tested = _of_split(tested, "test") if tested.has_test else tested
    classes = sorted({fit.classes[label] for label in np.unique(fit.labels)})
    number = {name: i for i, name in enumerate(classes)}
    learnt, asked = (
        np.array([number.get(name, -1) for name in each.classes], np.int64)[each.labels] for each in (fit, tested)
    )
    absent = {tested.classes[label] for label in np.unique(tested.labels[asked < 0])}
    tested, asked = _selected(tested, asked >= 0), asked[asked >= 0]
    if not len(asked):  # the images of ``fit`` alone would be cross-validated
        fit, learnt = _selected(fit, learnt < 0), asked
    return replace(
        tested,
        features=np.concatenate([tested.features, fit.features]),
        item=np.concatenate([tested.item, np.full(len(learnt), -1)]),
        labels=np.concatenate([asked, learnt]),
        groups=np.concatenate([tested.groups, fit.groups + tested.groups.max(initial=-1) + 1]),
        splits=np.repeat(["test", "train"], [len(asked), len(learnt)]),
        unit=np.concatenate([tested.unit, fit.unit + len(tested.units)]),
        classes=tuple(classes),
        units=(*tested.units, *fit.units),
        grouped=np.concatenate([tested.grouped, fit.grouped]),
        has_test=True,
        left_out_classes=tuple(sorted(absent)),
    )


def _of_split(labelled: Labelled, split: str) -> Labelled:
    return _selected(labelled, labelled.splits == split)


def _selected(labelled: Labelled, chosen: np.ndarray) -> Labelled:
    """Some of the images: bool (N,)."""
    names = ("features", "item", "labels", "groups", "splits", "unit", "grouped")
    return replace(labelled, **{name: getattr(labelled, name)[chosen] for name in names})
