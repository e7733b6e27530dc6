import numpy as np
import pytest
import torch

from gensis.evaluation.knn import knn_probabilities

CPU = torch.device("cpu")


def reference(train, labels, test, k, classes, temperature):
    train, test = (x.astype(float) / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
    votes = np.zeros((len(test), classes))
    for i, similarities in enumerate(test @ train.T):
        for j in np.argsort(-similarities)[:k]:
            votes[i, labels[j]] += np.exp(similarities[j] / temperature)
    return votes / votes.sum(1, keepdims=True)


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    train, test = (generator.normal(size=(n, 8)).astype(np.float32) for n in (60, 25))
    return train, generator.integers(0, 4, 60), test


def test_probabilities_equal_a_plain_loop_for_every_k(images):
    train, labels, test = images
    ks = tuple(range(1, 61))
    shares = knn_probabilities(train, labels, test, ks=ks, classes=4, temperature=0.07, device=CPU)
    assert tuple(shares) == ks
    for k in ks:
        np.testing.assert_allclose(shares[k], reference(train, labels, test, k, 4, 0.07), atol=1e-5)


def test_chunk_size_and_order_of_k_do_not_matter(images):
    train, labels, test = images
    whole = knn_probabilities(train, labels, test, ks=(5, 20), classes=4, temperature=0.07, device=CPU)
    for chunk_bytes in (1, 4 * 60 * 7):
        chunked = knn_probabilities(
            train, labels, test, ks=(20, 5), classes=4, temperature=0.07, device=CPU, chunk_bytes=chunk_bytes
        )
        for k in (5, 20):
            np.testing.assert_allclose(chunked[k], whole[k], atol=1e-6)


def test_norms_of_features_do_not_matter(images):
    train, labels, test = images
    lengths = np.random.default_rng(1).uniform(0.1, 10, (60, 1)).astype(np.float32)
    once, scaled = (
        knn_probabilities(x, labels, test, ks=(10,), classes=4, temperature=0.07, device=CPU)[10]
        for x in (train, train * lengths)
    )
    np.testing.assert_allclose(scaled, once, atol=1e-5)


def test_a_low_temperature_does_not_overflow_and_follows_the_nearest(images):
    train, labels, test = images
    nearest = knn_probabilities(train, labels, test, ks=(1,), classes=4, temperature=0.07, device=CPU)[1]
    cold = knn_probabilities(train, labels, test, ks=(60,), classes=4, temperature=1e-5, device=CPU)[60]
    np.testing.assert_array_equal(cold.argmax(1), nearest.argmax(1))
