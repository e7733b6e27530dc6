"""Recall of each class and the confusion matrix."""

import numpy as np
from sklearn.metrics import confusion_matrix

from gensis.figures.markup import ABSENT, figure, table, text
from gensis.figures.predicted import Predicted

MOST_CLASSES = 12
"""With more classes, only their recalls are shown."""


def confusion(name: str, found: Predicted) -> str:
    """A row for each true class: its recall, and how many of its items were predicted as each class."""
    counts = confusion_matrix(found.label, found.predicted, labels=np.arange(len(found.classes)))
    with_matrix = len(found.classes) <= MOST_CLASSES
    rows = [
        [text(called), _recall(of_class[number], of_class.sum()), *(map(str, of_class) if with_matrix else ())]
        for number, (called, of_class) in enumerate(zip(found.classes, counts))
    ]
    columns = [f"as {called}" for called in found.classes] if with_matrix else []
    caption = f"<b>{text(name)}: recall</b>, the share of a class's test items that are predicted as this class" + (
        ", and the confusion matrix: numbers of test items, by true class (row) and predicted class (column)."
        if with_matrix
        else "."
    )
    return figure(table(["true class", "recall", *columns], rows, "numbers"), caption)


def _recall(right: int, items: int) -> str:
    return f"{right / items:.3f}<small>{right:,} of {items:,}</small>" if items else ABSENT
