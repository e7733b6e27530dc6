import numpy as np
import pytest
from scipy import stats

from gensis.evaluation.auroc import auroc
from gensis.evaluation.bootstrap import expanded_percentiles, intervals
from gensis.evaluation.metrics import accuracy


def measured(correct: np.ndarray, groups: np.ndarray, resamples: int = 1000) -> dict[str, tuple[float, float]]:
    labels = np.zeros(len(correct), int)
    return intervals(lambda weights: {"accuracy": accuracy(labels, 1 - correct, weights)}, groups, resamples)


def test_interval_equals_a_plain_bootstrap_within_sampling_error():
    generator = np.random.default_rng(0)
    correct = (generator.random(100) < 0.7).astype(int)
    reference = [generator.choice(correct, 100).mean() for _ in range(4000)]

    np.testing.assert_allclose(
        measured(correct, np.arange(100), 4000)["accuracy"], np.percentile(reference, [2.5, 97.5]), atol=0.02
    )


def test_interval_has_about_its_nominal_coverage():
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        low, high = measured((generator.random(100) < 0.7).astype(int), np.arange(100), 300)["accuracy"]
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_intervals_of_few_groups_are_as_wide_as_t_intervals():
    """For eight normal values the t interval is exact. Plain percentiles are 25 % narrower and cover 0 in 89 %."""
    generator, held, widths = np.random.default_rng(4), 0, []
    for _ in range(150):
        values = generator.normal(size=8)
        low, high = intervals(lambda w, v=values: {"mean": v @ w / w.sum(0)}, np.arange(8), 800)["mean"]
        held += low <= 0 <= high
        widths.append((high - low) / (2 * stats.t.ppf(0.975, 7) * stats.sem(values)))
    assert 0.91 < held / 150 < 0.99
    assert np.mean(widths) == pytest.approx(1, abs=0.06)


def test_many_groups_hardly_change_the_percentiles():
    assert expanded_percentiles(10_000) == pytest.approx((2.5, 97.5), abs=0.01)
    assert expanded_percentiles(2) == pytest.approx((0, 100), abs=1e-6)


def test_copies_within_a_group_do_not_change_the_interval():
    correct = (np.random.default_rng(2).random(40) < 0.6).astype(int)
    groups = np.arange(40)

    alone = measured(correct, groups)["accuracy"]
    # So many copies that resamples are computed in several chunks.
    copied = measured(np.repeat(correct, 1000), np.repeat(groups, 1000))["accuracy"]
    ungrouped = measured(np.repeat(correct, 25), np.arange(1000))["accuracy"]

    np.testing.assert_allclose(copied, alone, atol=1e-6)
    assert ungrouped[1] - ungrouped[0] < 0.4 * (alone[1] - alone[0])


def test_sums_of_more_items_than_float32_can_count_are_exact():
    each = 2**24 + 1  # items that each of two groups stands for
    assert intervals(lambda weights: {"items": (weights * each).sum(0)}, np.arange(2), 50)["items"] == (2 * each,) * 2


def test_group_numbers_do_not_matter():
    correct = (np.random.default_rng(3).random(30) < 0.6).astype(int)
    groups = np.repeat(np.arange(10), 3)
    assert measured(correct, groups * 7 + 100) == measured(correct, groups)


def test_resamples_without_a_value_are_left_out():
    labels = np.array([0, 1, 1, 1])
    probabilities = np.eye(2)[labels]
    area = auroc(labels, probabilities)
    low, high = intervals(lambda weights: {"auroc": area(weights)}, np.arange(4), 200)["auroc"]
    assert (low, high) == (1, 1)


@pytest.mark.parametrize(("groups", "resamples"), [(np.zeros(5, int), 100), (np.arange(5), 0)])
def test_one_group_or_no_resamples_give_no_interval(groups, resamples):
    assert measured(np.array([0, 1, 1, 0, 1]), groups, resamples) == {}
