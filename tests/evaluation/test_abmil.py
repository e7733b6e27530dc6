import numpy as np
import torch

from gensis.evaluation.abmil import GatedAttention, abmil_probabilities

CPU = torch.device("cpu")


def bags(seed: int, count: int = 60) -> tuple[list[np.ndarray], np.ndarray]:
    """Bags of 15 to 25 instances, of which a single one tells the class."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    result = [generator.normal(size=(generator.integers(15, 26), 16)).astype(np.float32) for _ in labels]
    for bag, label in zip(result, labels):
        bag[generator.integers(len(bag)), label] += 6
    return result, labels


def classify(train, labels, test, seeds=((0, 0),), epochs=50):
    return abmil_probabilities(train, labels, np.arange(len(labels)), test, 2, epochs, 3e-4, seeds, CPU)


def test_one_telling_instance_in_a_bag_is_found():
    train, labels = bags(0)
    test, test_labels = bags(1)
    probabilities = classify(train, labels, test)
    assert (probabilities.argmax(1) == test_labels).mean() > 0.9


def test_order_of_instances_does_not_matter():
    torch.manual_seed(0)
    model = GatedAttention(16, 3)
    bag = torch.randn(40, 16)
    torch.testing.assert_close(model(bag[torch.randperm(40)]), model(bag))


def test_logits_equal_the_formula():
    """Ilse et al. 2018, equations 7 and 9."""
    torch.manual_seed(0)
    model = GatedAttention(5, 3, hidden=4, attention=2)
    bag = torch.randn(7, 5)
    with torch.no_grad():
        h = (bag @ model.project[0].weight.T + model.project[0].bias).clamp(min=0)
        v = torch.tanh(h @ model.value[0].weight.T + model.value[0].bias)
        u = torch.sigmoid(h @ model.gate[0].weight.T + model.gate[0].bias)
        a = ((v * u) @ model.score.weight[0] + model.score.bias).exp()
        z = (a[:, None] / a.sum() * h).sum(0)
        torch.testing.assert_close(model(bag), model.classify.weight @ z + model.classify.bias)


def test_probabilities_depend_on_the_seeds_and_on_no_global_state():
    train, labels = bags(2, 12)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    once = classify(train, labels, train, [(5, 0), (5, 1)], epochs=2)
    assert torch.equal(torch.get_rng_state(), state)

    torch.manual_seed(2)
    np.testing.assert_array_equal(classify(train, labels, train, [(5, 0), (5, 1)], epochs=2), once)
    assert (classify(train, labels, train, [(5, 0)], epochs=2) != once).any()
    np.testing.assert_allclose(once.sum(1), 1)


def test_training_stops_before_it_learns_noise_by_heart():
    """Labels of noise bags cannot be foretold, so whoever is sure of them has overfitted."""
    generator = np.random.default_rng(4)
    train, test = (list(generator.normal(size=(40, 5, 16)).astype(np.float32)) for _ in range(2))
    labels = np.arange(40) % 2
    groups_too_few_to_stop_by = labels
    stopped, overfitted = (
        abmil_probabilities(train, labels, groups, test, 2, 40, 3e-3, [(0, 0)], CPU).max(1).mean()
        for groups in (np.arange(40), groups_too_few_to_stop_by)
    )
    assert stopped < 0.7
    assert overfitted > 0.9


def test_bags_too_few_to_set_some_aside_still_train():
    train, labels = bags(3, 2)
    assert np.isfinite(classify(train, labels, train, epochs=2)).all()
