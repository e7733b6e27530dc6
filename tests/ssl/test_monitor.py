import logging
import math

import numpy as np
import pytest
import torch
from tests.ssl.conftest import CPU

from gensis.ssl.methods.dino import collapse
from gensis.ssl.monitor import Monitor, rankme, view_retrieval
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import World
from gensis.training.loop import train


@pytest.fixture
def pictures():
    """32 images of four coloured squares: uint8 (32, 16, 16, 3). Training on noise would always collapse."""
    colours = np.random.default_rng(4).integers(0, 256, (32, 2, 2, 3), np.uint8)
    return colours.repeat(8, 1).repeat(8, 2)


def forget(step, embeddings):
    pass


def trained(tmp_path, pretrainer, name, watch):
    folder = CheckpointFolder(tmp_path, "encoder", name)
    return train(pretrainer, folder, World(), CPU, seed=0, checkpoint_seconds=1e9, watch=watch)


def equal_states(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal_states(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize(
    "backbone",
    [{}, {"backbone": "resnet18", "backbone_args": {}, "batch_size": 24, "views": {"local_crops": 0}}],
    ids=["transformer", "with BatchNorm"],
)
def test_monitoring_does_not_change_training(make_pretrainer, tmp_path, backbone):
    monitored, alone = (make_pretrainer(**backbone) for _ in range(2))
    history = trained(tmp_path, monitored, "monitored", Monitor(monitored, seed=0, epochs=1, keep=forget))
    after_monitoring = torch.rand(1)
    plain = trained(tmp_path, alone, "alone", lambda row: {})
    assert torch.equal(after_monitoring, torch.rand(1))
    assert equal_states(monitored.state_dict()["method"], alone.state_dict()["method"])
    assert all(module.training for module in monitored.method.teacher.modules())
    assert [row["loss"] for row in history] == [row["loss"] for row in plain]


def test_embeddings_are_evaluated_at_the_interval_and_after_the_last_epoch(make_pretrainer, tmp_path):
    pretrainer = make_pretrainer(epochs=5)
    history = trained(tmp_path, pretrainer, "a", Monitor(pretrainer, seed=0, epochs=2, keep=forget))
    assert ["rankme" in row for row in history] == [False, True, False, True, True]
    assert ["view_retrieval" in row for row in history] == ["rankme" in row for row in history]


def test_long_epochs_are_evaluated_in_the_first_row_after_the_interval(make_pretrainer):
    pretrainer, kept = make_pretrainer(epochs=5, batch_size=4), []  # 8 steps per epoch, 40 in total
    pretrainer.steps_per_row = 5
    monitor = Monitor(pretrainer, seed=0, epochs=2, keep=lambda step, embeddings: kept.append(step))
    for step in range(5, 41, 5):
        monitor({"step": step, "teacher_entropy": 1.0, "teacher_batch_entropy": 2.0})
    assert kept == [20, 35, 40]


def test_each_evaluation_passes_on_the_embeddings_of_the_whole_images(make_pretrainer, tmp_path):
    pretrainer, kept = make_pretrainer(epochs=2), {}
    trained(tmp_path, pretrainer, "a", Monitor(pretrainer, seed=0, epochs=1, keep=kept.__setitem__))
    assert list(kept) == [pretrainer.steps_per_row, pretrainer.total_steps]
    pixels = pretrainer.images.batch(torch.arange(32)).float() / 255
    of = pretrainer.preprocessing
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (of.mean, of.std))
    with torch.no_grad():
        expected = pretrainer.method.teacher.backbone.eval()((pixels - mean) / std)
    assert torch.allclose(kept[pretrainer.total_steps], torch.nn.functional.normalize(expected), atol=1e-5)


def test_two_evaluations_of_one_teacher_are_equal(make_pretrainer):
    pretrainer = make_pretrainer()
    row = {"step": pretrainer.total_steps, "teacher_entropy": 1.0, "teacher_batch_entropy": 2.0}
    first = Monitor(pretrainer, seed=0, epochs=1, keep=forget)(row)
    torch.manual_seed(5)
    assert Monitor(pretrainer, seed=0, epochs=1, keep=forget)(row) == first
    assert Monitor(pretrainer, seed=1, epochs=1, keep=forget)(row) != first


def test_rankme_is_the_number_of_equally_used_directions():
    directions = torch.linalg.qr(torch.randn(40, 6, generator=torch.Generator().manual_seed(0))).Q
    assert rankme(directions) == pytest.approx(6, rel=1e-4)
    assert rankme(torch.ones(40, 6)) == pytest.approx(1, rel=1e-3)
    assert math.isnan(rankme(torch.full((4, 3), math.nan)))


def test_rankme_equals_its_definition():
    embeddings = np.random.default_rng(0).normal(size=(30, 8)) * np.arange(1, 9)
    values = np.linalg.svd(embeddings, compute_uv=False)
    shares = values / np.abs(values).sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert rankme(torch.from_numpy(embeddings)) == pytest.approx(expected, rel=1e-5)


def test_view_retrieval_counts_mutual_nearest_neighbours():
    first = torch.eye(4)
    assert view_retrieval(first, 3 * first) == 1.0
    assert view_retrieval(first, first.roll(1, 0)) == 0.0
    second = first.clone()
    second[1] = torch.tensor([0.9, 0.8, 0.0, 0.0])  # its nearest is image 0, although it is the nearest of image 1
    assert view_retrieval(first, second) == 0.75


LEARNABLE = {
    "epochs": 60,
    "batch_size": 16,
    "learning_rate": 0.008,
    "teacher_momentum": 0.9,
    "views": {"local_crops": 0, "global_scale": (0.2, 1), "jitter": 0, "grayscale": 0, "solarize": 0},
}


@pytest.mark.parametrize(
    ("settings", "parts_of_ln_k", "warning"),
    [
        ({"teacher_temperature": 0.04, "centre_momentum": 1.0}, (0, 0), "share one prototype"),  # the centre stays 0
        ({"teacher_temperature": 0.1, "student_temperature": 0.1}, (1, 1), "targets are uniform"),
        # With BatchNorm so short a training works with every seed, without it with one seed in three.
        ({"teacher_temperature": 0.04, "head_batch_norm": True}, None, None),
    ],
    ids=["without centring", "without sharpening", "with both"],
)
def test_training_without_centring_or_sharpening_collapses_with_a_warning(
    make_pretrainer, tmp_path, caplog, settings, parts_of_ln_k, warning
):
    pretrainer = make_pretrainer(**LEARNABLE, **settings)
    with caplog.at_level(logging.WARNING):
        last = trained(tmp_path, pretrainer, "a", Monitor(pretrainer, seed=0, epochs=1000, keep=forget))[-1]
    entropies = np.array([last["teacher_entropy"], last["teacher_batch_entropy"]]) / math.log(16)
    if warning:
        assert entropies == pytest.approx(parts_of_ln_k, abs=0.02)
        assert warning in caplog.messages[-1]
    else:
        assert entropies[1] - entropies[0] > 0.3
        assert collapse(*entropies * math.log(16), 16) == ""


def test_a_collapse_is_reported_once_and_not_during_the_warm_up(make_pretrainer, caplog):
    pretrainer = make_pretrainer(epochs=10, warmup=0.2)
    monitor = Monitor(pretrainer, seed=0, epochs=1000, keep=forget)
    for epoch in range(1, 10):
        step = epoch * pretrainer.steps_per_row
        monitor({"step": step, "teacher_entropy": 0.0, "teacher_batch_entropy": 0.0 if epoch != 6 else 2.0})
    assert [record.getMessage().split(":")[1] for record in caplog.records] == [
        f" the encoder has collapsed at step {epoch * pretrainer.steps_per_row}" for epoch in (3, 7)
    ]
