"""Numbers predicted for slides."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error as mae
from sklearn.metrics import r2_score
from tests.evaluation.test_tasks import slides

from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.measure import measure
from gensis.evaluation.regression import mean_absolute_error, pearson, r2, ridge
from gensis.settings.evaluation import Evaluation

CPU = torch.device("cpu")
SETTINGS = Evaluation(mil_epochs=30, mil_learning_rate=1e-2, mil_seeds=1, mil_batch_size=8, bootstrap=100)
TASKS = ["regression-mean-age", "regression-abmil-age"]


def aged(signal: float, split: bool = False, count: int = 60) -> Labelled:
    """Slides whose first feature is the age, times ``signal``."""
    ages = np.random.default_rng(3).integers(20, 90, count)
    data = slides(0, split, count)
    features = data.features.copy()
    features[:, 0] += signal * (ages[data.unit] - 55) / 20
    classes = tuple(sorted({str(age) for age in ages}))
    labels = np.array([classes.index(str(age)) for age in ages])[data.unit]
    return replace(data, features=features, labels=labels, classes=classes)


def metrics(task: str, data: Labelled) -> dict[str, dict]:
    return {each["metric"]: each for each in measure(task, data, SETTINGS, seed=0, device=CPU).result["metrics"]}


def test_metrics_of_weights_are_those_of_repeated_items():
    generator = np.random.default_rng(0)
    values, estimates = 1e4 + generator.normal(size=(2, 30))
    weights = generator.integers(0, 3, (30, 5))
    references = {r2: r2_score, pearson: lambda *both: pearsonr(*both).statistic, mean_absolute_error: mae}
    for metric, reference in references.items():
        expected = [reference(np.repeat(values, each), np.repeat(estimates, each)) for each in weights.T]
        np.testing.assert_allclose(metric(values, estimates)(weights), expected, rtol=1e-7, err_msg=metric.__name__)


def test_resamples_of_a_single_value_have_no_correlation_and_no_explained_variance():
    values = np.array([31.7, 64.2, 58.9, 71.3])
    estimates = values + np.array([1.5, -2.5, 0.5, 3.5])
    only = np.eye(4) * 5
    for metric in (r2, pearson):
        assert np.isnan(metric(values, estimates)(only)).all()
        assert np.isfinite(metric(values, estimates)(only + np.roll(only, 1, 0))).all()


def test_intervals_of_few_slides_are_in_the_range_of_their_metric():
    for task in TASKS[:1]:
        for name, low in (("r2", -1e3), ("pearson", -1.0)):
            metric = metrics(task, aged(1.0, count=8))[name]
            assert low <= metric["low"] <= metric["high"] <= 1 + 1e-9


def test_ridge_regression_learns_a_linear_function_and_shrinks_noise_to_the_mean():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(80, 30)).astype(np.float32)
    groups, weights = np.arange(80), generator.normal(size=30)
    exact = ridge(features, 5 + features @ weights, groups)(features)
    np.testing.assert_allclose(exact, 5 + features @ weights, atol=0.5)
    noise = generator.normal(size=80)
    assert ridge(features, 5 + noise, groups)(features).std() < noise.std() / 2


@pytest.mark.parametrize(("task", "split"), [(TASKS[0], True), (TASKS[0], False), (TASKS[1], True)])
def test_a_feature_that_is_the_value_predicts_it_and_noise_does_not(task, split):
    found, noise = (metrics(task, aged(signal, split, 120)) for signal in (10, 0))
    assert found["r2"]["value"] > 0.8
    assert found["pearson"]["value"] > 0.9
    assert found["mae"]["value"] < found["mae"]["chance"] / 2
    assert noise["r2"]["value"] < 0.1
    for name, metric in found.items():
        assert metric["low"] < metric["value"] < metric["high"], name


def test_correlation_is_measured_within_folds():
    """Estimates near each fold's training mean are negatively correlated with all held-out values together."""
    pooled, by_fold = [], []
    for seed in range(8):
        data = aged(0)
        features = np.random.default_rng(seed).normal(size=data.features.shape).astype(np.float32)
        found = measure(TASKS[0], replace(data, features=features), SETTINGS, seed=seed, device=CPU)
        by_fold += [each["value"] for each in found.result["metrics"] if each["metric"] == "pearson"]
        stored = found.predictions.scores
        pooled.append(pearsonr(stored["value"], stored["estimate"]).statistic)
    assert np.mean(by_fold) > np.mean(pooled) + 0.03


def test_chance_is_the_mean_of_the_training_slides():
    data = aged(10, split=True)
    found = metrics("regression-mean-age", data)
    ages = np.array([float(data.classes[label]) for label in data.labels])[::6]
    is_test = data.splits[::6] == "test"
    constant = np.full(is_test.sum(), ages[~is_test].mean())
    assert found["r2"]["chance"] == pytest.approx(r2_score(ages[is_test], constant))
    assert found["mae"]["chance"] == pytest.approx(mae(ages[is_test], constant))
    assert found["pearson"]["chance"] == 0


def test_equal_values_are_not_measured_and_many_ties_are():
    data = aged(10)
    with pytest.raises(Unmeasurable, match="all tested values are equal"):
        metrics(TASKS[0], replace(data, labels=np.zeros_like(data.labels)))
    tied = replace(data, labels=np.minimum(data.labels, 2))  # the largest value is the median
    assert metrics(TASKS[0], tied)["mae"]["n"] == 60


@pytest.mark.parametrize("task", TASKS)
def test_values_and_estimates_are_stored_in_the_unit_of_the_sheet(task):
    data = aged(10)
    found = measure(task, data, SETTINGS, seed=0, device=CPU).predictions
    first = np.arange(0, 360, 6)[found.item]
    assert found.scores["value"].tolist() == [float(data.classes[label]) for label in data.labels[first]]
    assert np.abs(found.scores["estimate"] - found.scores["value"]).mean() < 8
