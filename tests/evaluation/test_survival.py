"""Survival of slides. Numbers of scikit-survival 0.28.0 are of the ten patients below."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from tests.evaluation.test_tasks import slides

from gensis.evaluation.concordance import concordance
from gensis.evaluation.cox import fit_cox, fit_with, partial_likelihood_loss
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.measure import measure
from gensis.evaluation.objectives import survival_risk
from gensis.evaluation.outcomes import Survival
from gensis.settings.evaluation import Evaluation

CPU = torch.device("cpu")
SETTINGS = Evaluation(mil_epochs=20, mil_learning_rate=1e-2, mil_seeds=1, bootstrap=100)
TASKS = ["survival-mean-os", "survival-abmil-os"]
PATIENTS = Survival(
    np.array([5, 8, 8, 12, 3, 15, 9, 20, 8, 11.0]), np.array([1, 1, 0, 1, 1, 0, 1, 0, 1, 0]).astype(bool)
)
FEATURES = np.array(
    [
        [0.5, 1],
        [1.2, -0.3],
        [-0.4, 0.8],
        [0, 0],
        [2, 0.1],
        [-1.5, -1],
        [0.3, 0.9],
        [-0.8, 0.4],
        [1.1, -1.2],
        [0.2, -0.6],
    ]
)
ONCE = np.ones((10, 1))


def followed(signal: float, split: bool = False, count: int = 60) -> Labelled:
    """Slides whose first feature is the log risk, times ``signal``; a third of the times is censored."""
    generator = np.random.default_rng(3)
    risk = generator.normal(size=count)
    time = generator.exponential(np.exp(-4 * risk))
    event = generator.random(count) > 1 / 3
    texts = [f"{each:.6f}{'' if observed else '+'}" for each, observed in zip(time, event)]
    data = slides(0, split, count)
    features = data.features.copy()
    features[:, 0] += signal * risk[data.unit]
    return replace(data, features=features, labels=data.unit.astype(np.int64), classes=tuple(texts))


def metric_of(task: str, data: Labelled) -> dict:
    (metric,) = measure(task, data, SETTINGS, seed=0, device=CPU).result["metrics"]
    return metric


@pytest.mark.parametrize(
    ("time", "event", "can"),
    [
        ([3, 5, 8], [1, 0, 0], True),
        ([3, 5, 8], [0, 0, 0], False),  # no event
        ([3, 5, 8], [0, 0, 1], False),  # nobody is at risk any more
        ([3, 8, 8], [0, 1, 0], True),
    ],
)
def test_early_stopping_needs_an_event_while_others_are_at_risk(time, event, can):
    objective = survival_risk(Survival(np.array(time, float), np.array(event, bool)))
    assert objective.can_validate(objective.targets) is can
    outputs = torch.tensor([0.3, -1.0, 2.0])[:, None, None].requires_grad_()
    objective.loss(outputs, objective.targets).backward()
    assert bool(outputs.grad.abs().sum() > 1e-6) is can


@pytest.mark.parametrize(("risk", "expected"), [(FEATURES[:, 0], 33 / 35), (FEATURES[:, 0].round(), 30 / 35)])
def test_concordance_is_that_of_scikit_survival(risk, expected):
    assert concordance(PATIENTS, risk)(ONCE) == pytest.approx(expected, abs=1e-12)


def test_concordance_of_weights_is_that_of_repeated_items(monkeypatch):
    """Compared with a loop over all pairs. Many small blocks give the same."""
    monkeypatch.setattr("gensis.evaluation.concordance._BLOCK_VALUES", 30)
    weights = np.random.default_rng(0).integers(0, 3, (10, 4))
    risk = FEATURES[:, 0].round()
    for found, counts in zip(concordance(PATIENTS, risk)(weights), weights.T):
        drawn = np.repeat(np.arange(10), counts)
        time, event, own = PATIENTS.time[drawn], PATIENTS.event[drawn], risk[drawn]
        pairs = [
            (own[i] > own[j]) + (own[i] == own[j]) / 2
            for i, j in product(range(len(drawn)), repeat=2)
            if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j]))
        ]
        assert found == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(("strength", "expected"), [(0.1, [0.43792394, 0.08954907]), (1.0, [1.61388301, 0.42285629])])
def test_coefficients_are_those_of_scikit_survival(strength, expected):
    """CoxPHSurvivalAnalysis(alpha=1 / strength, ties="breslow") on standardised features, with tied times."""
    found = fit_with(FEATURES.astype(np.float32), PATIENTS, strength)
    np.testing.assert_allclose(found.weights, expected, atol=1e-5)


def test_the_partial_likelihood_compares_each_event_with_the_items_at_risk():
    risk = torch.from_numpy(FEATURES[:, 1])
    expected = -sum(
        np.log(np.exp(own) / np.exp(FEATURES[PATIENTS.time >= time, 1]).sum())
        for own, time, event in zip(FEATURES[:, 1], PATIENTS.time, PATIENTS.event)
        if event
    )
    found = partial_likelihood_loss(risk, torch.from_numpy(PATIENTS.time), torch.from_numpy(PATIENTS.event))
    assert found.item() == pytest.approx(expected)


def test_the_penalty_is_chosen_so_that_noise_is_not_learnt():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(60, 50)).astype(np.float32)
    survival = Survival(generator.exponential(size=60), generator.random(60) > 0.3)
    informative = np.concatenate([-np.log(survival.time)[:, None], noise[:, :4]], axis=1).astype(np.float32)
    assert np.abs(fit_cox(noise, survival, np.arange(60)).risk(noise)).max() < 0.5
    assert fit_cox(informative, survival, np.arange(60)).risk(informative).std() > 1


@pytest.mark.parametrize(("task", "split"), [(TASKS[0], True), (TASKS[0], False), (TASKS[1], True)])
def test_a_feature_that_is_the_risk_gives_a_high_concordance_and_noise_gives_chance(task, split):
    found, noise = (metric_of(task, followed(signal, split, 120)) for signal in (5, 0))
    assert found["value"] > 0.85
    assert found["low"] > 0.75
    assert noise["low"] < 0.5 < noise["high"]
    assert found["chance"] == noise["chance"] == 0.5


def test_times_events_and_risks_are_stored_for_each_tested_slide():
    data = followed(5)
    measured = measure("survival-abmil-os", data, SETTINGS, seed=0, device=CPU)
    found = measured.predictions
    assert sorted(found.item) == list(range(60))
    texts = [f"{time:.6f}{'' if event else '+'}" for time, event in zip(found.scores["time"], found.scores["event"])]
    assert texts == [data.classes[item] for item in found.item]
    assert measured.result["events"] == found.scores["event"].sum()
    assert (measured.result["classes"], found.classes) == ([], ())
    assert measured.attention.keys() == set(data.units)
    earliest, latest = np.argsort(found.scores["time"])[[0, -1]]
    assert found.scores["risk"][earliest] > found.scores["risk"][latest]


def test_concordance_is_the_mean_over_folds():
    """Adding a constant to the risks of one fold changes nothing."""
    data = followed(5)
    measured = measure("survival-mean-os", data, SETTINGS, seed=0, device=CPU)
    fold, scores = measured.predictions.fold, measured.predictions.scores
    values = [
        concordance(Survival(scores["time"][own], scores["event"][own]), scores["risk"][own])(np.ones((own.sum(), 1)))
        for own in (fold == number for number in np.unique(fold))
    ]
    assert measured.result["metrics"][0]["value"] == pytest.approx(np.mean(values))


def test_without_comparable_slides_or_enough_patients_the_task_is_not_measured():
    data = followed(5)
    censored = replace(data, classes=tuple(f"{i}+" for i in range(60)))
    with pytest.raises(Unmeasurable, match="no tested item is known to outlive"):
        metric_of("survival-mean-os", censored)
    with pytest.raises(Unmeasurable, match=r"fewer than 4 groups \(patients, cases\) have a value"):
        metric_of("survival-mean-os", replace(data, groups=data.unit % 3))
    with pytest.raises(Unmeasurable, match="of the test split have a value"):
        metric_of("survival-mean-os", replace(data, splits=np.where(data.unit < 3, "test", "train")))
