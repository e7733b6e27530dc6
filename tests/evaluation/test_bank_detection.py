import numpy as np
import pytest
import torch

from gensis.evaluation.bank_features import ImageFeatures
from gensis.evaluation.bank_metrics import detection, diversity, mean_interval
from gensis.evaluation.detection import probe_accuracy
from gensis.evaluation.diversity import direction_distances, pixel_deviations
from gensis.evaluation.fidelity import cosines

CPU = torch.device("cpu")


def test_probe_accuracy_is_one_for_distinct_and_chance_for_equal_distributions():
    first, second = np.random.default_rng(0).normal(size=(2, 200, 5)).astype(np.float32)
    assert probe_accuracy(first, second, CPU) == pytest.approx(0.5, abs=0.08)
    assert probe_accuracy(first, second + np.float32([0, 8, 0, 0, 0]), CPU) > 0.98


def test_a_probe_is_not_tested_on_its_training_images():
    # As many features as images, so that a probe would classify memorised images correctly.
    first, second = np.random.default_rng(0).normal(size=(2, 60, 120)).astype(np.float32)
    assert probe_accuracy(first, second, CPU) < 0.7


def test_each_space_is_probed_alone():
    first, second = np.random.default_rng(0).normal(size=(2, 60, 4)).astype(np.float32)
    real = ImageFeatures(first, first, first, first)
    figures = detection(real, ImageFeatures(second, second, second + 9, second), CPU)
    assert [(figure["figure"], figure["n"]) for figure in figures] == [
        ("real_vs_generated_accuracy_encoder", 60),
        ("real_vs_generated_accuracy_pixels", 60),
    ]
    assert figures[0]["value"] < 0.75
    assert figures[1]["value"] == 1


def test_distances_equal_those_of_single_pairs():
    first, second = np.random.default_rng(0).normal(size=(2, 5, 7))
    centre = np.random.default_rng(1).normal(size=7)
    angles = [1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(first - centre, second - centre)]
    np.testing.assert_allclose(direction_distances(first, second, centre), angles)
    deviations = [np.sqrt(np.var([a, b], axis=0, ddof=1).mean()) for a, b in zip(first, second)]
    np.testing.assert_allclose(pixel_deviations(first, second), deviations)


def test_diversity_is_zero_for_copies_and_the_ceiling_for_real_images():
    images = np.random.default_rng(0).normal(size=(128, 9)).astype(np.float32)
    repeated, different = (ImageFeatures(*[each] * 4) for each in (images[:64].repeat(2, axis=0), images))
    for figure in diversity(repeated, different, different, 100):
        assert [figure[name] for name in ("value", "low", "high")] == pytest.approx([0, 0, 0], abs=1e-6)
        assert figure["floor"] == figure["ceiling"] > 0.5
        assert figure["n"] == 64


def test_diversity_does_not_follow_from_fidelity():
    """Two banks of equal fidelity to the encoder; one of them has no diversity in pixels."""
    generator = np.random.default_rng(0)
    real = ImageFeatures(*generator.normal(size=(4, 128, 50)).astype(np.float32))
    conditions = real.encoder[:64].repeat(2, axis=0)

    def bank(spread: float) -> ImageFeatures:
        noisy = conditions + 0.3 * generator.normal(size=conditions.shape)
        others = (real.random[:64].repeat(2, axis=0) + spread * generator.normal(size=conditions.shape) for _ in "123")
        return ImageFeatures(*(values.astype(np.float32) for values in (noisy, *others)))

    alike, varied = bank(0.1), bank(0.6)
    fidelities = [cosines(each.encoder, conditions).mean() for each in (alike, varied)]
    assert fidelities[0] == pytest.approx(fidelities[1], abs=0.01)
    for few, many in zip(diversity(alike, alike, real, 200), diversity(varied, alike, real, 200)):
        assert few["low"] < few["value"] < few["high"] < many["low"] < many["value"] < many["high"] < many["ceiling"]
        assert few["value"] == few["floor"]


def test_the_interval_of_diversity_resamples_conditions():
    values = np.random.default_rng(0).exponential(size=64)
    half = 1.96 * values.std() / 8
    assert mean_interval(values, 2000) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.06)
    assert mean_interval(values, 0) == (None, None)
