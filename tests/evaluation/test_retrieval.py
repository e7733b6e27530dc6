import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.measure import measure
from gensis.evaluation.tasks.retrieval import by_chance, retrieve
from gensis.settings.evaluation import Evaluation

CPU = torch.device("cpu")


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    train, test = (generator.normal(size=(n, 5)).astype(np.float32) for n in (40, 9))
    return train, generator.integers(0, 3, 40), test, generator.integers(0, 3, 9)


def cosines(test, train):
    return (test / np.linalg.norm(test, axis=1, keepdims=True)) @ (
        train / np.linalg.norm(train, axis=1, keepdims=True)
    ).T


@pytest.mark.parametrize("chunk_bytes", [1, 4 * 40 * 4, 1 << 20])
def test_average_precision_equals_scikit_learn_for_any_chunk_size(images, chunk_bytes):
    train, labels, test, test_labels = images
    found, _ = retrieve(train, labels, test, test_labels, ks=(1, 10), device=CPU, chunk_bytes=chunk_bytes)
    likeness = cosines(test, train)
    expected = [average_precision_score(labels == own, row) for own, row in zip(test_labels, likeness)]
    np.testing.assert_allclose(found["average_precision"], expected)
    first = np.argsort(-likeness, axis=1)[:, :10]
    np.testing.assert_allclose(found["precision_k10"], (labels[first] == test_labels[:, None]).mean(1))
    np.testing.assert_allclose(found["precision_k1"], labels[first[:, 0]] == test_labels)


def test_images_of_the_querys_own_group_are_not_ranked(images):
    features, labels, _, _ = images
    groups = np.arange(40) // 5
    found, expected = retrieve(features, labels, features, labels, ks=(3,), device=CPU, groups=(groups, groups))
    for query in (0, 17, 39):
        others = groups != groups[query]
        one = slice(query, query + 1)
        alone, by_itself = retrieve(features[others], labels[others], features[one], labels[one], ks=(3,), device=CPU)
        for name in alone:
            assert found[name][query] == pytest.approx(alone[name][0])
            assert expected[name][query] == pytest.approx(by_itself[name][0])


def test_a_query_whose_class_is_missing_in_train_has_no_score(images):
    train, labels, test, test_labels = images
    test_labels[2] = 7
    found, expected = retrieve(train, labels, test, test_labels, ks=(1,), device=CPU)
    for values in (*found.values(), *expected.values()):
        assert np.flatnonzero(np.isnan(values)).tolist() == [2]


def test_queries_of_other_classes_than_those_of_train_are_not_measured():
    features = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    splits, classes = np.repeat(["train", "test"], 6), ("Normal", "Tumor", "normal", "tumor")
    items = Labelled(
        features=features,
        item=np.arange(12),
        labels=np.array([0, 1] * 3 + [2, 3] * 3),
        groups=np.arange(12),
        splits=splits,
        unit=np.zeros(12, np.int32),
        classes=classes,
        units=("all",),
        grouped=np.ones(12, bool),
        has_test=True,
    )
    with pytest.raises(Unmeasurable, match="no query has an image of its class to be found"):
        measure("retrieval", items, Evaluation(knn=[1], retrieval=True), seed=0, device=CPU)


def test_chance_is_the_mean_over_random_orders():
    generator = np.random.default_rng(1)
    relevant = np.arange(12) < 3
    orders = [average_precision_score(relevant, generator.random(12)) for _ in range(4000)]
    expected, share = by_chance(np.array([3, 12, 1]), np.array([12, 12, 12]))
    assert expected[0] == pytest.approx(np.mean(orders), abs=4 * np.std(orders) / 4000**0.5)
    assert expected[1] == pytest.approx(1)
    assert share.tolist() == [0.25, 1, 1 / 12]
