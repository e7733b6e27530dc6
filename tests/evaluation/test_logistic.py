import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from gensis.evaluation import logistic
from gensis.evaluation.logistic import Items, logits


def images(classes: int, items: int = 400, features: int = 12) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(classes)
    labels = generator.integers(classes, size=items)
    return (generator.normal(size=(items, features)) + np.eye(classes, features)[labels]).astype(np.float32), labels


def items(features: np.ndarray, labels: np.ndarray) -> Items:
    return Items(torch.from_numpy(features), torch.from_numpy(labels), int(labels.max()) + 1)


@pytest.mark.parametrize("strength", [1e-3, 1.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_probabilities_equal_those_of_scikit_learn_in_float64(classes, strength):
    features, labels = images(classes)
    reference = LogisticRegression(C=strength, tol=1e-8, max_iter=1000).fit(features.astype(float), labels)
    coefficients, _ = items(features, labels).fit(strength)
    found = logits(torch.from_numpy(features), coefficients).softmax(dim=1)
    np.testing.assert_allclose(found, reference.predict_proba(features.astype(float)), atol=2e-3)


def test_fits_are_equal_bit_for_bit_when_repeated():
    features, labels = images(4)
    once, again = (items(features, labels).fit(0.1)[0] for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_blocks_change_only_rounding(monkeypatch):
    features, labels = images(3)
    whole, _ = items(features, labels).fit(1.0)
    monkeypatch.setattr(logistic, "_BLOCK_BYTES", 4 * 3 * 7)
    in_blocks, _ = items(features, labels).fit(1.0)
    np.testing.assert_allclose(in_blocks, whole, atol=1e-4)


def test_a_fit_that_starts_at_the_minimum_stays_there():
    features, labels = images(3)
    found, _ = items(features, labels).fit(1.0)
    again, iterations = items(features, labels).fit(1.0, found)
    assert iterations <= 1
    np.testing.assert_allclose(again, found, atol=1e-3)
