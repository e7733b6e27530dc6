"""Scheduled values compared with the original code (facebookresearch/dino, utils.py and main_dino.py)."""

import numpy as np
import pytest
import torch
from torch import nn

from gensis.settings.pretraining import Pretraining
from gensis.ssl.methods.dino import DINO
from gensis.ssl.rates import rates_of
from gensis.ssl.schedules import linear_warmup
from gensis.training.distributed import World


def original(base, final, steps, warmup=0):
    """One value per step: a line from 0 to ``base`` including both ends, then half a cosine without its end."""
    i = np.arange(steps - warmup)
    cosine = final + 0.5 * (base - final) * (1 + np.cos(np.pi * i / (steps - warmup)))
    return np.concatenate([np.linspace(0, base, warmup), cosine])


def dino(settings):
    backbones = nn.Identity(), nn.Identity()
    for backbone in backbones:
        backbone.num_features = 4
    return DINO(settings, list(backbones), World())


def is_last_layer_frozen(method, step, steps):
    prototypes = method.student.head.prototypes
    prototypes.grad = torch.ones_like(prototypes)
    method.before_update(step, steps)
    return prototypes.grad is None


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(100, 3), (300, 7), (11, 1), (37, 20), (800, 2)])
def test_schedules_of_the_paper_preset_equal_the_original_in_every_step(epochs, steps_per_epoch):
    small = {"prototypes": 4, "head_hidden_dim": 4, "head_bottleneck_dim": 4}
    settings = Pretraining(dataset="d", preset="paper", epochs=epochs, dino=small)
    method = dino(settings)
    steps = epochs * steps_per_epoch
    expected = {
        "learning_rate": original(0.0005 * 512 / 256, 1e-6, steps, 10 * steps_per_epoch),
        "weight_decay": original(0.04, 0.4, steps),
        "teacher_momentum": original(0.996, 1.0, steps),
        "teacher_temperature": np.full(steps, 0.04),
    }
    ours = [vars(rates_of(step, steps, 512, settings)) | method.scheduled(step, steps) for step in range(steps)]
    for name, values in expected.items():
        np.testing.assert_allclose([row[name] for row in ours], values, rtol=1e-12, err_msg=name)
    frozen = [is_last_layer_frozen(method, step, steps) for step in range(steps)]
    assert frozen == [True] * steps_per_epoch + [False] * (steps - steps_per_epoch)


def test_linear_warmup_includes_both_ends():
    ours = [linear_warmup(0.02, 0.04, step, 5) for step in range(7)]
    np.testing.assert_allclose(ours, [*np.linspace(0.02, 0.04, 5), 0.04, 0.04])
    assert [linear_warmup(0.02, 0.04, step, 0) for step in range(2)] == [0.04, 0.04]
    assert [linear_warmup(0.02, 0.04, step, 1) for step in range(2)] == [0.02, 0.04]
