import copy

import numpy as np
import pytest
import torch

from gensis.evaluation.mil import Bags, predict_bags
from gensis.evaluation.objectives import classification
from gensis.evaluation.standardisation import Standardisation
from gensis.evaluation.tasks.abmil import GatedAttention
from gensis.evaluation.tasks.dsmil import DualStream
from gensis.settings.evaluation import Evaluation

CPU = torch.device("cpu")
HEADS = {"abmil": GatedAttention, "dsmil": DualStream}


def bags(seed: int, count: int = 60) -> tuple[list[np.ndarray], np.ndarray]:
    """Bags of 15 to 25 instances, one of which has the class in its features."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    result = [generator.normal(size=(generator.integers(15, 26), 16)).astype(np.float32) for _ in labels]
    for bag, label in zip(result, labels):
        bag[generator.integers(len(bag)), label] += 6
    return result, labels


def classify(train, labels, test, head="abmil", seed=0, groups=None, **settings):
    settings = Evaluation(**{"mil_seeds": 1, **settings})
    groups = np.arange(len(labels)) if groups is None else groups
    objective = classification(labels, 2)
    return predict_bags(
        HEADS[head], train, test, objective=objective, groups=groups, settings=settings, seed=seed, device=CPU
    )


@pytest.mark.parametrize("head", HEADS)
def test_heads_find_the_one_informative_instance_of_a_bag(head):
    train, labels = bags(0, 200)
    test, test_labels = bags(1)
    probabilities, attention = classify(
        train, labels, test, head, mil_learning_rate=3e-3, mil_batch_size=8, mil_epochs=15
    )
    assert (probabilities.argmax(1) == test_labels).mean() > 0.9
    assert [len(weights) for weights in attention] == [len(bag) for bag in test]
    np.testing.assert_allclose([weights.sum() for weights in attention], 1, rtol=1e-5)
    informative = [bag[:, label].argmax() for bag, label in zip(test, test_labels)]
    assert np.mean([weights.argmax() == row for weights, row in zip(attention, informative)]) > 0.7


def test_results_depend_on_the_seed_and_not_on_global_state():
    train, labels = bags(2, 12)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    once = classify(train, labels, train, seed=5, mil_epochs=2, mil_seeds=2)[0]
    assert torch.equal(torch.get_rng_state(), state)

    torch.manual_seed(2)
    np.testing.assert_array_equal(classify(train, labels, train, seed=5, mil_epochs=2, mil_seeds=2)[0], once)
    assert (classify(train, labels, train, seed=6, mil_epochs=2, mil_seeds=2)[0] != once).any()
    np.testing.assert_allclose(once.sum(1), 1)


def test_early_stopping_prevents_memorising_noise():
    """Labels of noise cannot be predicted, so confident predictions show overfitting."""
    generator = np.random.default_rng(4)
    train, test = (list(generator.normal(size=(40, 5, 16)).astype(np.float32)) for _ in range(2))
    labels = np.arange(40) % 2
    groups_too_few_for_validation = labels
    stopped, overfitted = (
        classify(train, labels, test, groups=groups, mil_epochs=40, mil_learning_rate=3e-3)[0].max(1).mean()
        for groups in (np.arange(40), groups_too_few_for_validation)
    )
    assert stopped < 0.7
    assert overfitted > 0.9


def test_dsmil_averages_losses_and_probabilities_of_its_two_streams(monkeypatch):
    """Compared with a loop over bags. Labels as groups leave no validation part, so there is no early stopping."""
    train, labels = bags(5, 8)
    test, _ = bags(6, 4)
    torch.manual_seed(0)
    begun = HEADS["dsmil"](16, 2)
    monkeypatch.setitem(HEADS, "dsmil", lambda features, classes: copy.deepcopy(begun))
    settings = {"mil_epochs": 4, "mil_batch_size": 8, "mil_learning_rate": 1e-2}
    found, _ = classify(train, labels, test, "dsmil", groups=labels, **settings)

    mean, deviation = (getattr(np.concatenate(train), name)(0) for name in ("mean", "std"))
    model = copy.deepcopy(begun)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=1e-2)

    def streams(bag):
        instances = torch.from_numpy((bag - mean) / deviation)
        scores, queries = model.score(instances), model.query(instances)
        critical = queries[scores.argmax(0)]
        attention = torch.softmax(queries @ critical.T / queries.shape[1] ** 0.5, dim=0)
        return scores.max(0).values, model.classify((attention.T @ instances)[None])[0, :, 0]

    for _ in range(4):
        optimizer.zero_grad()
        for bag, label in zip(train, labels):
            highest, whole = streams(bag)
            (-(0.5 * highest.log_softmax(0)[label] + 0.5 * whole.log_softmax(0)[label]) / len(train)).backward()
        optimizer.step()
    expected = [sum(stream.softmax(0) for stream in streams(bag)).detach().numpy() / 2 for bag in test]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_each_batch_holds_its_bags_standardised_and_padded():
    given, _ = bags(7, 5)
    scale = Standardisation.of(*given)
    batches = list(Bags.of(given, scale, 2, CPU).steps([3, 0, 4]))
    assert [numbers.tolist() for numbers, _, _ in batches] == [[3, 0], [4]]
    for numbers, padded, present in batches:
        for number, instances, own in zip(numbers, padded, present):
            np.testing.assert_array_equal(instances[own], scale(given[number]))


def test_bags_too_few_for_a_validation_part_are_trained_on():
    train, labels = bags(3, 2)
    assert np.isfinite(classify(train, labels, train, mil_epochs=2)[0]).all()
