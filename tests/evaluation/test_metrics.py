import numpy as np
import pytest
from sklearn import metrics as reference

from gensis.evaluation.auroc import auroc
from gensis.evaluation.metrics import METRICS, mean_over_folds
from gensis.evaluation.predictions import Predictions
from gensis.evaluation.scoring import classification_metrics


def classified(seed: int, items: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, items, p=np.arange(1, classes + 1) / sum(range(classes + 1)))
    # One decimal, so that there are ties.
    probabilities = (generator.random((items, classes)) + 0.4 * np.eye(classes)[labels]).round(1)
    return labels, probabilities


def plain(name: str, labels: np.ndarray, probabilities: np.ndarray) -> float:
    return METRICS[name].prepare(labels, probabilities)(np.ones((len(labels), 1)))[0]


@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_equal_those_of_scikit_learn(classes):
    labels, probabilities = classified(0, classes=classes)
    predictions = probabilities.argmax(1)
    areas = [reference.roc_auc_score(labels == k, probabilities[:, k]) for k in range(classes)]

    assert plain("accuracy", labels, probabilities) == pytest.approx(reference.accuracy_score(labels, predictions))
    assert plain("balanced_accuracy", labels, probabilities) == pytest.approx(
        reference.balanced_accuracy_score(labels, predictions)
    )
    assert plain("macro_f1", labels, probabilities) == pytest.approx(
        reference.f1_score(labels, predictions, average="macro")
    )
    assert plain("auroc", labels, probabilities) == pytest.approx(np.mean(areas))
    assert plain("quadratic_kappa", labels, probabilities) == pytest.approx(
        reference.cohen_kappa_score(labels, predictions, weights="quadratic")
    )


def test_mean_over_folds_leaves_out_folds_without_a_value():
    labels, fold = np.array([0, 1, 0, 1, 0, 0]), np.array([0, 0, 1, 1, 2, 2])
    score = np.array([0.1, 0.2, 0.9, 0.8, 0.5, 0.6])
    probabilities = np.stack([1 - score, score], axis=1)
    weights = np.ones((6, 2))
    weights[2:4, 1] = 0
    found = mean_over_folds(auroc, fold, labels, probabilities)(weights)
    assert found.tolist() == [0.5, 1]


@pytest.mark.parametrize("kind", [np.int32, np.float64])
@pytest.mark.parametrize("name", METRICS)
def test_a_weight_equals_repetitions_of_an_item(name, kind):
    labels, probabilities = classified(1)
    weights = np.random.default_rng(2).integers(0, 4, (len(labels), 3))

    expected = [plain(name, np.repeat(labels, w), np.repeat(probabilities, w, axis=0)) for w in weights.T]

    np.testing.assert_allclose(METRICS[name].prepare(labels, probabilities)(weights.astype(kind)), expected)


def test_the_order_of_items_within_a_fold_changes_no_digit():
    labels, probabilities = classified(7, items=300)
    items = {"item": np.arange(300), "group": np.arange(300) % 40, "fold": np.arange(300) // 100, "label": labels}
    names, other = tuple(map(str, range(4))), np.concatenate([np.arange(99, -1, -1), np.arange(100, 300)])

    def measured(order):
        own = {name: values[order] for name, values in items.items()}
        predictions = Predictions(classes=names, **own, probabilities={"": probabilities[order]})
        return classification_metrics(tuple(METRICS), predictions, 0, 50)

    assert measured(other) == measured(np.arange(300))


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_auroc_under_weights_equals_that_of_scikit_learn_with_and_without_ties(decimals):
    labels, _ = classified(5, items=300, classes=3)
    generator = np.random.default_rng(6)
    probabilities = (generator.random((300, 3)) + 0.3 * np.eye(3)[labels]).round(decimals)
    weights = generator.random((300, 4))

    expected = [
        np.mean([reference.roc_auc_score(labels == k, probabilities[:, k], sample_weight=each) for k in range(3)])
        for each in weights.T
    ]

    np.testing.assert_allclose(auroc(labels, probabilities)(weights), expected, rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_a_class_that_is_missing_in_test_changes_no_metric(name):
    labels, probabilities = classified(3)
    wider = np.column_stack([probabilities, np.full(len(labels), -1.0)])
    assert plain(name, labels, wider) == pytest.approx(plain(name, labels, probabilities))


@pytest.mark.parametrize("name", METRICS)
def test_perfect_probabilities_score_one(name):
    labels, _ = classified(4)
    assert plain(name, labels, np.eye(4)[labels]) == 1


def test_chance_is_always_predicting_the_most_common_class_of_train():
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    assert METRICS["accuracy"].chance(labels, 1) == pytest.approx(0.2)
    assert METRICS["balanced_accuracy"].chance(labels, 1) == pytest.approx(1 / 3)
    assert METRICS["auroc"].chance(labels, 1) == 0.5
    assert METRICS["macro_f1"].chance(labels, 1) == pytest.approx(
        reference.f1_score(labels, np.ones_like(labels), average="macro", zero_division=0)
    )
    assert METRICS["accuracy"].chance(labels, 5) == 0, "a class that test lacks"
