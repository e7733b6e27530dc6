"""The loss of each method with `generative_views: add`, and what added views leave unchanged."""

from dataclasses import replace

import pytest
import torch
from tests.ssl.test_step import IMAGES, batch
from torch.nn import functional as F

from gensis.ssl.batch import Batch
from gensis.ssl.methods.simclr import nt_xent
from gensis.training.distributed import World

HEADS = {
    "dino": {},
    "simclr": {"method": "simclr", "simclr": {"head_hidden_dim": 16, "head_output_dim": 8}},
    "mocov3": {"method": "mocov3", "mocov3": {"head_hidden_dim": 16, "head_output_dim": 8}},
}
RESNET = {"backbone": "resnet10t", "backbone_args": {"channels": [8, 8, 8, 8]}, "drop_path": 0.0}
ADDED = torch.randn(IMAGES, 3, 16, 16, generator=torch.Generator().manual_seed(9))


@pytest.fixture
def make(make_pretrainer):
    """Function that returns a method: network, heads and losses."""

    def make(method, **settings):
        settings = {"views": {"local_crops": 0}, "disentangle_weight": 0.5, "drop_path": 0.0} | settings
        return make_pretrainer(**HEADS[method], **settings).method

    return make


def losses(method, given):
    return method.losses(method.student, given, method.scheduled(1, 4))


def with_added(given, added=ADDED):
    return Batch(replace(given.views, added_views=added), given.interpolated)


def test_dino_treats_an_added_view_like_a_local_view(make):
    method, given = make("dino"), batch(0, local_crops=0)
    as_local = Batch(replace(given.views, local_views=ADDED.unsqueeze(0)))
    torch.testing.assert_close(losses(method, with_added(given)).loss, losses(method, as_local).loss)


def test_simclr_averages_the_pair_of_real_views_and_the_pairs_with_the_added_view(make):
    method, given = make("simclr"), batch(0, local_crops=0)
    temperature = method.settings.simclr.temperature
    with torch.no_grad():
        outputs = method.student(torch.cat([*given.views.global_views, ADDED])).unflatten(0, (3, IMAGES))
    outputs = F.normalize(outputs, dim=2)
    real, *further = (nt_xent(outputs[list(pair)], temperature, World())[0] for pair in ((0, 1), (0, 2), (1, 2)))
    expected = (real + sum(further) / 2) / 2
    torch.testing.assert_close(losses(method, with_added(given)).loss.detach(), expected)


def test_mocov3_compares_an_added_view_with_the_keys_of_both_real_views(make):
    method, given = make("mocov3"), batch(0, local_crops=0)
    first, second = given.views.global_views
    temperature, own = method.settings.mocov3.temperature, torch.arange(IMAGES)
    with torch.no_grad():
        queries = F.normalize(method.student(torch.cat([first, second, ADDED])), dim=1).chunk(3)
        keys = F.normalize(method.teacher(torch.cat([first, second])), dim=1).chunk(2)
    pairs = [(0, 1), (1, 0), (2, 0), (2, 1)]
    of_pairs = [F.cross_entropy(queries[q] @ keys[k].T / temperature, own) for q, k in pairs]
    torch.testing.assert_close(losses(method, with_added(given)).loss.detach(), temperature * sum(of_pairs))


@pytest.mark.parametrize("name", HEADS)
def test_added_and_interpolated_images_leave_the_running_statistics_of_real_ones(make, name):
    def statistics(offset):
        method, given = make(name, **RESNET), batch(0, with_bank=True, local_crops=0)
        moved = Batch(given.views, replace(given.interpolated, views=given.interpolated.views + offset))
        losses(method, with_added(moved, ADDED + offset)).loss.backward()
        return dict(method.student.backbone.named_buffers())

    near, far, untrained = statistics(0), statistics(3), make(name, **RESNET).student.backbone.bn1.running_mean
    assert all(torch.equal(near[buffer], far[buffer]) for buffer in near)
    assert not torch.equal(near["bn1.running_mean"], untrained)


def test_parts_of_a_batch_have_their_added_views():
    parts = with_added(batch(0)).split(2)
    assert torch.equal(torch.cat([part.views.added_views for part in parts]), ADDED)
