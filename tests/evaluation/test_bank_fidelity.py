import numpy as np
import pytest
import torch

from gensis.evaluation import fidelity
from gensis.evaluation.bank_metrics import fidelity as fidelity_figures
from gensis.evaluation.bank_metrics import interpolation, retrieval
from gensis.evaluation.fidelity import along_alpha, cosines, ranks

CPU = torch.device("cpu")


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)


def test_cosines_equal_a_loop_over_pairs(features):
    expected = [a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(features, features[::-1])]
    np.testing.assert_allclose(cosines(features, features[::-1]), expected, atol=1e-6)


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 28])
def test_ranks_equal_positions_in_a_sorted_list(features, chunk_bytes, monkeypatch):
    monkeypatch.setattr(fidelity, "_CHUNK_BYTES", chunk_bytes)
    queries = np.random.default_rng(1).normal(size=(9, 6)).astype(np.float32)
    targets = np.arange(0, 45, 5)
    expected = [
        1 + sorted(range(50), key=lambda row: -cosines(query[None], features[row, None])[0]).index(target)
        for query, target in zip(queries, targets)
    ]
    assert ranks(queries, targets, features, CPU).tolist() == expected


def test_fidelity_is_the_ceiling_for_faithful_images_and_the_floor_for_others(features):
    noise = 0.1 * np.random.default_rng(1).normal(size=features.shape)
    views = features + noise
    (good,) = fidelity_figures("fidelity", features - noise, features, views=views, own=features)
    (bad,) = fidelity_figures("fidelity", np.roll(features, 7, axis=0), features, views=views, own=features)
    assert good["value"] == pytest.approx(good["ceiling"], abs=0.01)
    assert good["floor"] == pytest.approx(0, abs=0.15)
    assert bad["value"] == pytest.approx(bad["floor"], abs=0.15)
    assert bad["floor"] == pytest.approx(0, abs=0.15)


def test_retrieval_finds_only_the_sources_of_faithful_images(features):
    rows = np.arange(20)
    first, rank = retrieval(features[rows] * 2, features[rows + 1], sources=rows, features=features, device=CPU)
    assert (first["value"], first["floor"], first["ceiling"]) == (1, 1 / 50, 0)
    assert (rank["value"], rank["floor"]) == (1, 25.5)
    assert rank["ceiling"] > 1


def test_means_by_alpha_are_means_over_its_images():
    alpha, value = np.array([0.5, 0.25, 0.5], np.float32), np.array([1.0, 5.0, 3.0])
    assert along_alpha(alpha, source=value) == [
        {"alpha": 0.25, "n": 1, "source": 5.0},
        {"alpha": 0.5, "n": 2, "source": 2.0},
    ]


def test_many_alphas_are_binned():
    alpha = np.random.default_rng(0).permutation(100) / 100
    groups = along_alpha(alpha, twice=2 * alpha)
    assert [group["n"] for group in groups] == [20] * 5
    assert [group["alpha"] for group in groups] == pytest.approx([0.095, 0.295, 0.495, 0.695, 0.895])
    assert all(group["twice"] == pytest.approx(2 * group["alpha"]) for group in groups)


def test_interpolation_measures_nearest_sources_and_cosines_along_alpha():
    features = np.eye(8, dtype=np.float32)
    source, partner = np.array([0, 1, 2, 3]), np.array([4, 5, 6, 7])
    alpha = np.array([0.25, 0.75, 0.25, 0.75], np.float32)
    generated = alpha[:, None] * features[source] + (1 - alpha[:, None]) * features[partner]
    generated[3] = features[0] + 0.5 * features[1]  # near to neither source nor partner
    given = {"alpha": alpha, "sources": source, "partners": partner, "features": features, "device": CPU}
    (share,), along = interpolation(generated, ends=features[source], **given)
    assert share["value"] == 0.75
    assert share["floor"] == pytest.approx(2 / (8 * 7))
    assert [point["alpha"] for point in along] == [0.25, 0.75, 1.0]
    assert along[0]["source"] == pytest.approx(0.25 / (0.25**2 + 0.75**2) ** 0.5)
    assert along[0]["partner"] == pytest.approx(0.75 / (0.25**2 + 0.75**2) ** 0.5)
    assert along[1]["both_sources_top2"] == 0.5
    assert (along[2]["source"], along[2]["partner"]) == (1, 0)
