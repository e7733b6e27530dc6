import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gensis.evaluation import linear
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.linear import STRENGTHS, LinearProbe, log_loss


def images(seed: int, items: int = 600, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of unequal scale and offset, three of which depend on the class."""
    generator = np.random.default_rng(seed)
    labels = np.arange(items) % 3
    features = generator.normal(size=(items, 20)) + signal * np.eye(3, 20)[labels]
    return (features * np.geomspace(0.01, 100, 20) + 5).astype(np.float32), labels


def fit_linear(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> LinearProbe:
    return linear.fit_linear(features, labels, groups, classes=classes, device=torch.device("cpu"))


def test_probe_accuracy_equals_a_scikit_learn_pipeline_within_a_fifth_of_a_point():
    features, labels = images(0)
    test, test_labels = images(1, 3000)
    probe = fit_linear(features, labels, np.arange(600), 3)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=probe.strength, max_iter=5000))
    plain.fit(features.astype(float), labels)

    accuracy = (probe.probabilities(test).argmax(1) == test_labels).mean()

    assert accuracy == pytest.approx(plain.score(test.astype(float), test_labels), abs=0.002)
    np.testing.assert_allclose(probe.probabilities(test), plain.predict_proba(test.astype(float)), atol=0.01)


def test_regularisation_is_stronger_for_noise_than_for_informative_features():
    noise, labels = images(2, signal=0)
    informative, _ = images(2, signal=5)
    groups = np.arange(len(labels))
    assert fit_linear(noise, labels, groups, 3).strength < fit_linear(informative, labels, groups, 3).strength


def test_regularisation_is_chosen_by_validation_across_groups():
    """Features that identify the group predict the class only within it; across groups they are noise."""
    groups = np.repeat(np.arange(30), 20)
    labels = np.random.default_rng(3).permutation(np.arange(30) % 3)[groups]
    features = np.random.default_rng(4).normal(size=(30, 40))[groups].astype(np.float32)
    across, within = (fit_linear(features, labels, part, 3).strength for part in (groups, np.arange(600)))
    assert (across, within) == (STRENGTHS[0], STRENGTHS[-1])


def test_too_few_groups_for_validation_use_the_default_regularisation():
    features, labels = images(5)
    probe = fit_linear(features, labels, labels, 3)
    assert probe.strength == 1


def test_an_image_of_a_rare_class_does_not_prevent_choosing_the_regularisation():
    noise, labels = images(2, signal=0)
    labels[7] = 3
    assert fit_linear(noise, labels, np.arange(len(labels)), 4).strength < 1


def test_an_image_of_a_rare_class_hardly_changes_a_probe():
    (features, labels), (test, test_labels) = images(9), images(10, 3000)
    groups, stray = np.arange(600), np.where(np.arange(600) == 7, 3, labels)
    plain, strayed = (fit_linear(features, known, groups, 4) for known in (labels, stray))
    chosen = [STRENGTHS.index(probe.strength) for probe in (plain, strayed)]
    assert abs(chosen[0] - chosen[1]) <= 1
    accuracies = [(probe.probabilities(test).argmax(1) == test_labels).mean() for probe in (plain, strayed)]
    assert accuracies[1] == pytest.approx(accuracies[0], abs=0.01)


def test_a_class_missing_in_train_has_probability_zero():
    features, labels = images(6)
    probabilities = fit_linear(features, labels + 1, np.arange(600), 5).probabilities(features)
    assert probabilities.shape == (600, 5)
    assert (probabilities[:, [0, 4]] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_a_constant_feature_gives_finite_probabilities():
    features, labels = images(7)
    features[:, 0] = 3
    assert np.isfinite(fit_linear(features, labels, np.arange(600), 3).probabilities(features)).all()


def test_one_class_alone_is_unmeasurable():
    features, labels = images(8)
    with pytest.raises(Unmeasurable):
        fit_linear(features, labels * 0, np.arange(600), 3)


def test_log_loss_is_the_mean_negative_log_probability_and_finite():
    assert log_loss(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])) == pytest.approx(
        -(np.log(0.5) + np.log(0.75)) / 2
    )
    assert np.isfinite(log_loss(np.array([[1.0, 0.0]]), np.array([1])))
