import numpy as np
import pytest

from gensis.evaluation.bank_quality import Seen, detection, diversity
from gensis.evaluation.detection import probe_accuracy
from gensis.evaluation.diversity import mean_pairwise_distance, pixel_deviation


def test_a_probe_tells_what_differs_and_nothing_else():
    first, second = np.random.default_rng(0).normal(size=(2, 200, 5)).astype(np.float32)
    assert probe_accuracy(first, second) == pytest.approx(0.5, abs=0.08)
    assert probe_accuracy(first, second + np.float32([0, 8, 0, 0, 0])) > 0.98


def test_a_probe_is_not_tested_on_images_that_it_learnt():
    # As many features as images: whatever was learnt by heart would be told.
    first, second = np.random.default_rng(0).normal(size=(2, 60, 120)).astype(np.float32)
    assert probe_accuracy(first, second) < 0.7


def test_each_space_is_probed_alone():
    first, second = np.random.default_rng(0).normal(size=(2, 60, 4)).astype(np.float32)
    told = detection(Seen(first, first, first), Seen(second, second, second + 9))
    assert [(figure["figure"], figure["n"]) for figure in told] == [("told_by_encoder", 60), ("told_by_pixels", 60)]
    assert told[0]["value"] < 0.75
    assert told[1]["value"] == 1


def test_pairwise_distance_equals_a_loop_over_pairs():
    features = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    pairs = [
        1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        for source in features
        for i, a in enumerate(source)
        for b in source[i + 1 :]
    ]
    assert mean_pairwise_distance(features) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_pixel_deviation_equals_that_of_single_pixels():
    pixels = np.random.default_rng(0).normal(size=(2, 6, 3))
    expected = [np.std(pixels[source, :, pixel], ddof=1) for source in range(2) for pixel in range(3)]
    assert pixel_deviation(pixels) == pytest.approx(np.mean(expected))


def test_diversity_of_one_image_repeated_is_nothing():
    images = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
    repeated, different = (Seen(each, each, each) for each in (images[:3].repeat(8, axis=0), images))
    for figure in diversity(repeated, different, different, seeds=8):
        assert figure["value"] == pytest.approx(0, abs=1e-6)
        assert figure["floor"] == pytest.approx(figure["ceiling"], rel=0.2)
