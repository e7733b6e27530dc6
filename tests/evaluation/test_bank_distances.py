import numpy as np
import pytest

from gensis.evaluation.distances import frechet_distance, kernel_distance


def with_moments(mean, covariance, n, seed):
    """Features with exactly this sample mean and covariance."""
    drawn = np.random.default_rng(seed).normal(size=(n, len(mean)))
    drawn -= drawn.mean(0)
    whitened = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn.T)).T)
    return whitened @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_two_gaussians_equals_the_closed_form():
    generator = np.random.default_rng(0)
    roots = generator.normal(size=(2, 5, 5))
    (first, second), means = roots @ roots.transpose(0, 2, 1), generator.normal(size=(2, 5))
    product = np.linalg.eigvals(first @ second).real  # those of two covariances' product are not negative
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(first + second) - 2 * np.sqrt(product).sum()
    measured = frechet_distance(with_moments(means[0], first, 40, 1), with_moments(means[1], second, 70, 2))
    assert measured == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_is_correct_with_fewer_images_than_features():
    features = np.random.default_rng(0).normal(size=(6, 50)).astype(np.float32)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + 2) == pytest.approx(50 * 4, rel=1e-6)


SEVENS = (slice(0, 7), slice(7, 14), slice(14, 21))


def kernel_distance_in_loops(first, second):
    def kernel(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    n = len(first)
    within = [
        sum(kernel(images[i], images[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
        for images in (first, second)
    ]
    across = sum(kernel(a, b) for a in first for b in second) / n**2
    return sum(within) - 2 * across


def test_kernel_distance_equals_loops_and_its_error_equals_a_jackknife():
    first, second = np.random.default_rng(0).normal(size=(2, 22, 4))
    first, second = first[:21], second
    without = [kernel_distance_in_loops(np.delete(first, left, 0), np.delete(second[:21], left, 0)) for left in SEVENS]
    distance, error = kernel_distance(first, second, blocks=3)
    assert distance == pytest.approx(kernel_distance_in_loops(first, second[:21]))
    assert error == pytest.approx((2 / 3 * np.sum((without - np.mean(without)) ** 2)) ** 0.5)


def test_kernel_distance_is_unbiased_and_its_error_matches_repetitions():
    draws = np.random.default_rng(0).normal([[[0.0]], [[1.0]]], size=(300, 2, 40, 3))
    values, errors = zip(*(kernel_distance(first, second) for first, second in draws))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)
    alike = [kernel_distance(first, second - 1)[0] for first, second in draws]
    assert abs(np.mean(alike)) < 3 * np.std(alike) / len(alike) ** 0.5


def test_distances_are_larger_to_images_of_another_kind():
    same, other = np.random.default_rng(0).normal(size=(2, 100, 8))
    for shift in (0.5, 1.0):
        distance, error = kernel_distance(same, other + shift)
        assert distance > 3 * error
        assert frechet_distance(same, other + shift) > frechet_distance(same, other)
