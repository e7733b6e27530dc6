import numpy as np

from gensis.evaluation.tasks.low_label import DRAWS, draws


def test_a_share_of_each_class_and_at_least_one_group_is_drawn():
    labels = np.repeat([0, 1, 2], [1000, 200, 3])
    for known in draws(labels, np.arange(len(labels)), 0.1):
        assert np.bincount(labels[known]).tolist() == [100, 20, 1]


def test_groups_are_drawn_whole():
    labels, groups = np.repeat([0, 1], 60), np.repeat(np.arange(20), 6)
    for known in draws(labels, groups, 0.2):
        drawn = np.unique(groups[known])
        assert len(drawn) == 4
        assert known.tolist() == np.flatnonzero(np.isin(groups, drawn)).tolist()


def test_draws_differ_and_are_deterministic():
    labels = np.arange(100) % 2
    once, again = (draws(labels, np.arange(100), 0.1) for _ in range(2))
    assert len({tuple(known) for known in once}) == DRAWS
    assert [known.tolist() for known in once] == [known.tolist() for known in again]
