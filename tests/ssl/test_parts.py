import copy
import math

import pytest
import torch
from tests.allocations import Allocations
from torch import nn

from gensis.settings.pretraining import Pretraining
from gensis.ssl.auto import resolve, view_recipes
from gensis.ssl.method import method_class
from gensis.ssl.optimizer import clip_each, make_optimizer, multiply_at_once, multiply_in_order, set_rates
from gensis.ssl.teacher import update_teacher


def test_the_teacher_averages_parameters_and_keeps_its_own_buffers():
    student = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    teacher = copy.deepcopy(student)
    before = [parameter.clone() for parameter in teacher.parameters()]
    for parameter in student.parameters():
        parameter.data.add_(1)
    student[1].running_mean.fill_(7)
    update_teacher(teacher, student, 0.9)
    for old, new, other in zip(before, teacher.parameters(), student.parameters()):
        torch.testing.assert_close(new.data, 0.9 * old + 0.1 * other.data)
    assert teacher[1].running_mean.abs().max() == 0


def test_clipping_scales_each_parameter_separately_as_in_the_original():
    parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([0.3, 0.4])
    norm = clip_each(parameters, 1.0)
    torch.testing.assert_close(parameters[0].grad, torch.tensor([0.6, 0.8, 0.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(parameters[1].grad, torch.tensor([0.3, 0.4]), atol=1e-5, rtol=0)
    assert norm.item() == pytest.approx(math.hypot(5, 0.5))


@pytest.mark.parametrize("count", [3, 30])
def test_gradients_on_a_gpu_are_scaled_alike_in_the_same_few_operations(count):
    shapes = [(4, 3, 2, 2), (7,), (5, 6)]
    ours = [torch.randn(shapes[number % 3]) for number in range(count)]
    ours[0] = ours[0].contiguous(memory_format=torch.channels_last)
    factors = torch.rand(count)
    theirs = [tensor.clone() for tensor in ours]
    multiply_in_order(theirs, factors)
    with Allocations() as allocated:
        multiply_at_once(ours, factors)
    assert all(one.equal(other) for one, other in zip(ours, theirs))
    assert [name for name, _ in allocated.calls] == ["cat", "cat"]


def test_biases_and_norms_are_exempt_from_weight_decay():
    optimizer = make_optimizer(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)), Pretraining(dataset="d"))
    set_rates(optimizer, 0.1, 0.2)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 3]


def dino_resolved(images, is_transformer, patch_px, **settings):
    settings = Pretraining(dataset="d", **settings)
    own = method_class("dino").automatic(settings, images, is_transformer)
    return resolve(settings, images, patch_px, own)


def test_auto_is_the_original_recipe_at_the_size_of_imagenet():
    settings = dino_resolved(1_281_167, is_transformer=True, patch_px=16).settings
    keys, views = settings.dino, settings.views
    assert (keys.prototypes, keys.teacher_temperature, keys.teacher_momentum) == (65_536, 0.04, 0.996)
    assert (views.local_px, views.global_scale, views.blur) == (96, (0.4, 1.0), (1.0, 0.1, 0.5))
    assert (settings.warmup, keys.teacher_temperature_warmup) == (0.1, 0.3)
    assert not keys.head_batch_norm
    first, second, local = view_recipes(views, 224)
    assert (first.size_px, second.size_px, local.size_px) == (224, 224, 96)
    assert (first.solarize, second.solarize, local.solarize) == (0.0, 0.2, 0.0)


def test_given_values_are_not_replaced_by_auto():
    given = {"dino": {"prototypes": 77, "teacher_momentum": 0.5}, "image_px": 32, "views": {"local_px": 8}}
    resolved = dino_resolved(5_000, is_transformer=False, patch_px=1, **given)
    keys, views = resolved.settings.dino, resolved.settings.views
    assert (keys.prototypes, keys.teacher_momentum, views.local_px) == (77, 0.5, 8)
    assert keys.head_batch_norm
    assert views.blur == (0.0, 0.0, 0.0)
    assert {"prototypes", "teacher_momentum", "local_px"}.isdisjoint(resolved.reasons)
    assert "lightly-train" in resolved.reasons["warmup"]
    assert resolved.values["prototypes"] == 77


def test_warmup_is_never_longer_than_in_the_original():
    resolved = dino_resolved(100_000_000, is_transformer=True, patch_px=16, epochs=20)
    assert resolved.settings.warmup * 20 * 100_000_000 == pytest.approx(10 * 1_281_167)


def test_a_batch_has_at_most_all_images():
    assert dino_resolved(100, is_transformer=True, patch_px=16).settings.batch_size == 100
