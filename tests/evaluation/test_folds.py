import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensis.errors import UserError
from gensis.evaluation.folds import Unmeasurable, grouped_folds, holdouts
from gensis.evaluation.protocol import plan

items = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=2, max_size=60)


@given(items, st.integers(2, 6))
def test_folds_keep_groups_together_and_test_each_item_once(items, folds):
    labels, groups = np.array(items).T
    try:
        rounds = grouped_folds(labels, groups, folds)
    except Unmeasurable:
        assert sum(len(np.unique(groups[labels == k])) > 1 for k in np.unique(labels)) < 2
        return
    assert 2 <= len(rounds) <= folds
    for train, test in rounds:
        assert not set(groups[train]) & set(groups[test])
        assert set(train) | set(test) == set(range(len(labels)))
    assert sorted(np.concatenate([test for _, test in rounds])) == list(range(len(labels)))


@pytest.mark.parametrize("items", [1, 2])
def test_there_are_fewer_folds_if_every_class_has_fewer_groups(items):
    labels, groups = np.repeat([0, 0, 0, 1, 1, 1, 1], items), np.repeat(np.arange(7), items)
    assert len(grouped_folds(labels, groups, 5)) == 4


def test_folds_are_deterministic():
    labels, groups = np.arange(40) % 2, np.arange(40) // 2
    for once, again in zip(grouped_folds(labels, groups, 5), grouped_folds(labels, groups, 5), strict=True):
        np.testing.assert_array_equal(once[1], again[1])


def test_every_class_is_in_every_fold_if_each_item_is_its_own_group():
    labels = np.arange(50) % 5
    for train, test in grouped_folds(labels, np.arange(50), 5):
        assert set(labels[train]) == set(labels[test]) == set(range(5))


def test_one_class_alone_in_two_groups_allows_no_folds_and_no_validation():
    labels, groups = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2])
    with pytest.raises(Unmeasurable, match="too few groups"):
        grouped_folds(labels, groups, 5)
    assert holdouts(labels, groups) == []


@pytest.mark.parametrize("strays", [0, 1, 2])
@pytest.mark.parametrize("images_a_group", [1, 4])
def test_a_rare_class_does_not_change_the_size_of_validation_parts(strays, images_a_group):
    labels = np.concatenate([np.arange(200) // images_a_group % 2, np.full(strays, 2)])
    groups = np.concatenate([np.arange(200) // images_a_group, 1000 + np.arange(strays)])
    ways = holdouts(labels, groups)
    assert len(ways) == 5
    for fit, validation in ways:
        assert not set(groups[fit]) & set(groups[validation])
        assert len(validation) == pytest.approx(len(labels) / 5, abs=2 * images_a_group)
        assert {0, 1} <= set(labels[validation]) <= set(labels[fit])


@pytest.mark.parametrize("strays", [1, 2])
def test_a_rare_class_changes_no_number_of_folds_and_gives_no_warning(strays, recwarn):
    labels = np.concatenate([np.arange(100) % 2, np.full(strays, 2)])
    protocol = plan(labels, np.arange(len(labels)), np.full(len(labels), ""), 5)
    assert protocol.name == "5-fold cross-validation by group"
    for _, test in protocol.rounds:
        assert np.bincount(labels[test])[:2].tolist() == [10, 10]
    assert not recwarn.list


@given(items)
def test_validation_parts_have_two_or_more_classes_that_were_all_trained_on(items):
    labels, groups = np.array(items).T
    for fit, validation in holdouts(labels, groups):
        assert not set(groups[fit]) & set(groups[validation])
        assert len(set(labels[validation])) > 1
        assert set(labels[validation]) <= set(labels[fit])


def test_with_a_test_split_train_is_trained_on_and_test_is_tested_once():
    splits = np.array(["train", "test", "train", "test", "train"])
    protocol = plan(np.array([0, 0, 1, 1, 0]), np.arange(5), splits, 5)
    assert protocol.name == "train -> test"
    assert not protocol.transductive
    assert protocol.train.tolist() == [0, 2, 4]
    assert protocol.test.tolist() == [1, 3]
    assert protocol.fold.tolist() == [0, 0]


@pytest.mark.parametrize("split", ["", "train"])
def test_without_a_test_split_cross_validation_is_used_and_transductive(split):
    protocol = plan(np.arange(20) % 2, np.arange(20), np.full(20, split), 4)
    assert protocol.name == "4-fold cross-validation by group"
    assert protocol.transductive
    assert sorted(protocol.test) == list(range(20))
    assert np.bincount(protocol.fold).tolist() == [5, 5, 5, 5]


def test_a_group_on_both_sides_of_the_split_is_refused():
    with pytest.raises(UserError, match="both train and test"):
        plan(np.array([0, 1, 0, 1]), np.array([0, 1, 1, 2]), np.array(["train", "train", "test", "test"]), 5)


@pytest.mark.parametrize(
    ("labels", "splits", "reason"),
    [
        ([], [], "no labels"),
        ([1, 1, 1], ["", "", ""], "fewer than two classes"),
        ([0, 1, 0, 0], ["train", "train", "test", "test"], "test split"),
        ([0, 0, 0, 1], ["train", "train", "test", "test"], "train split"),
        ([0, 1], ["test", "test"], "train split"),
    ],
)
def test_unmeasurable_protocols_have_a_reason(labels, splits, reason):
    with pytest.raises(Unmeasurable, match=reason):
        plan(np.array(labels, int), np.arange(len(labels)), np.array(splits, str), 5)
