"""Classifiers of one data set, tested on another."""

from dataclasses import replace

import numpy as np

from gensis.evaluation.labelled import Labelled
from gensis.evaluation.protocol import plan
from gensis.evaluation.transfer import transferred


def labelled(names: str, classes: str, splits: list[str], first: float) -> Labelled:
    """Images with one-letter classes; the only feature of each is its number, from ``first``."""
    n = len(names)
    return Labelled(
        features=np.arange(first, first + n, dtype=np.float32)[:, None],
        item=np.arange(n),
        labels=np.array([classes.index(name) for name in names]),
        groups=np.arange(n),
        splits=np.array(splits),
        unit=np.zeros(n, np.int32),
        classes=tuple(classes),
        units=("all",),
        grouped=np.ones(n, bool),
        has_test="test" in splits,
    )


def test_train_images_of_one_data_set_and_test_images_of_another_meet_by_the_names_of_classes():
    fit = labelled("abca", "abc", ["train", "train", "train", "test"], 0)
    tested = labelled("cdac", "acd", ["train", "test", "test", "test"], 10)
    found = transferred(fit, tested)
    ((train, test),) = plan(found.labels, found.groups, found.splits, 5).rounds
    names = np.array(found.classes)[found.labels]
    assert found.features[train, 0].tolist() == [0, 1, 2]
    assert found.features[test, 0].tolist() == [12, 13]
    assert [names[train].tolist(), names[test].tolist()] == [["a", "b", "c"], ["a", "c"]]
    assert (found.item[test].tolist(), found.left_out_classes) == ([2, 3], ("d",))
    assert len(np.unique(found.groups)) == 5


def test_without_test_splits_all_images_are_used():
    fit, tested = labelled("ab", "ab", ["", ""], 0), labelled("ba", "ab", ["", ""], 10)
    found = transferred(replace(fit, classes=("a", "b")), tested)
    assert found.splits.tolist() == ["train", "train", "test", "test"]
    assert found.labels.tolist() == [0, 1, 1, 0]
    assert found.left_out_classes == ()
