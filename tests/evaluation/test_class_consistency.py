import numpy as np
import pytest
import torch

from gensis.evaluation.class_consistency import RealImages, class_consistency
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.knn import knn_probabilities

CPU = torch.device("cpu")


@pytest.fixture
def real():
    """Three distinct classes of 40 images each, in groups of four images."""
    labels = np.repeat([0, 1, 2], 40)
    features = 5 * np.eye(3)[labels] + np.random.default_rng(0).normal(size=(120, 3))
    return RealImages(features.astype(np.float32), labels, np.arange(120) // 4)


def test_images_that_keep_their_class_have_a_ratio_of_one(real):
    sources = np.arange(0, 120, 2)
    own = real.features[sources]
    kept = class_consistency(real, sources, {"real": own, "generated": own * 3}, resamples=200, device=CPU)
    assert kept["real"]["value"] > 0.9
    assert kept["ratio"] == {"value": 1, "low": 1, "high": 1}
    assert kept["generated"] == kept["real"]
    assert (kept["chance"], kept["n"]) == (pytest.approx(1 / 3), 60)


def test_images_of_another_class_lower_the_ratio(real):
    sources = np.arange(120)
    generated = np.where((sources < 30)[:, None], np.roll(real.features, 40, axis=0), real.features)
    kept = class_consistency(real, sources, {"real": real.features, "generated": generated}, resamples=200, device=CPU)
    assert kept["ratio"]["value"] == pytest.approx(0.75, abs=0.02)
    assert kept["ratio"]["low"] < 0.75 < kept["ratio"]["high"]
    assert kept["ratio"]["value"] == kept["generated"]["value"] / kept["real"]["value"]


def test_other_kinds_of_images_are_measured_too(real):
    """Views, a quarter of which lie among images of another class."""
    sources = np.arange(120)
    views = np.where((sources < 30)[:, None], np.roll(real.features, 40, axis=0), real.features)
    kept = class_consistency(
        real, sources, {"real": real.features, "generated": real.features, "views": views}, resamples=200, device=CPU
    )
    assert kept["views"]["value"] == pytest.approx(0.75, abs=0.02)
    assert kept["views"]["low"] < 0.75 < kept["views"]["high"]
    assert kept["ratio"]["value"] == 1


def test_neither_a_source_nor_its_group_votes_for_it(real):
    # Each group is far from all others: only its own images could vote for its class.
    places = np.random.default_rng(1).normal(size=(30, 400))[real.groups].astype(np.float32)
    apart = RealImages(places, real.labels, real.groups)
    images = {"real": places, "generated": places}
    kept = class_consistency(apart, np.arange(120), images, resamples=0, device=CPU)
    assert kept["real"]["value"] < 0.7
    alone = RealImages(places, real.labels, np.arange(120))
    kept = class_consistency(alone, np.arange(120), images, resamples=0, device=CPU)
    assert kept["real"]["value"] == pytest.approx(1)


def test_a_real_image_in_place_of_a_generated_one_does_not_vote_for_itself(real):
    """Each group is far from all others, and the images are copies of another group of the same class."""
    places = np.random.default_rng(1).normal(size=(30, 400))[real.groups].astype(np.float32)
    apart, copies = RealImages(places, real.labels, real.groups), np.arange(120).reshape(3, 40)[:, ::-1].flatten()
    images = {"real": places, "generated": places[copies]}
    options = {"resamples": 0, "device": CPU}
    assert class_consistency(apart, np.arange(120), images, **options)["generated"]["value"] == 1
    kept = class_consistency(apart, np.arange(120), images, copies=copies, **options)
    assert kept["generated"]["value"] < 0.7
    assert kept["real"]["value"] < 0.7


def test_images_without_a_label_are_left_out(real):
    labels = np.where(np.arange(120) % 3 == 0, -1, real.labels)
    sources = np.arange(60)
    own = real.features[sources]
    kept = class_consistency(
        RealImages(real.features, labels, real.groups),
        sources,
        {"real": own, "generated": own},
        resamples=0,
        device=CPU,
    )
    assert kept["n"] == 40
    assert kept["ratio"] == {"value": 1, "low": None, "high": None}


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        (np.full(120, -1), np.arange(120), "no labels"),
        (np.zeros(120, int), np.arange(120), "fewer than two classes"),
        (np.arange(120) % 2, np.maximum(np.arange(120) - 101, 0), "fewer than 20 labelled images in other groups"),
    ],
    ids=["none", "one-class", "one-group"],
)
def test_unmeasurable_class_consistency_has_a_reason(real, labels, groups, reason):
    images = RealImages(real.features, labels, groups)
    embeddings = {"real": real.features, "generated": real.features}
    with pytest.raises(Unmeasurable, match=reason):
        class_consistency(images, np.arange(120), embeddings, resamples=0, device=CPU)


def test_neighbours_of_the_same_group_do_not_vote():
    generator = np.random.default_rng(0)
    features, labels = generator.normal(size=(40, 4)).astype(np.float32), generator.integers(0, 3, 40)
    groups = generator.integers(0, 8, 40)
    votes = knn_probabilities(
        features, labels, features, ks=(5,), classes=3, temperature=0.07, device=CPU, groups=(groups, groups)
    )[5]
    for image in range(40):
        others = groups != groups[image]
        expected = knn_probabilities(
            features[others], labels[others], features[[image]], ks=(5,), classes=3, temperature=0.07, device=CPU
        )[5]
        np.testing.assert_allclose(votes[image], expected[0], atol=1e-6)
