import copy

import pytest
import torch
from tests.ssl.test_step import batch
from torch.nn import functional as F

from gensis.ssl.methods.mocov3 import contrast
from gensis.training.distributed import World

MOCO = {"method": "mocov3", "mocov3": {"head_hidden_dim": 16, "head_output_dim": 8}, "views": {"local_crops": 0}}


@pytest.mark.parametrize(("temperature", "theirs"), [(0.2, 2.4158854484558105), (1.0, 6.775215148925781)])
def test_the_loss_equals_the_originals_on_the_same_numbers(temperature, theirs):
    """The values are those of `MoCo.contrastive_loss` of facebookresearch/moco-v3 (commit c349e6e), added."""
    q1, q2, k1, k2 = F.normalize(torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0)), dim=2)
    ours = contrast(q1, k2, temperature, World())[0] + contrast(q2, k1, temperature, World())[0]
    assert ours.item() == pytest.approx(theirs, rel=1e-5)


def test_a_step_equals_the_original(make_pretrainer):
    pretrainer = make_pretrainer(**MOCO, optimizer="sgd", learning_rate=0.5, weight_decay=(0, 0), warmup=0)
    student, teacher = copy.deepcopy(pretrainer.method.student), copy.deepcopy(pretrainer.method.teacher)
    given, momentum = (
        batch(0, local_crops=0),
        pretrainer.method.scheduled(1, pretrainer.total_steps)["teacher_momentum"],
    )
    x1, x2 = given.views.global_views
    queries = F.normalize(student(torch.cat([x1, x2])), dim=1).chunk(2)
    keys = F.normalize(teacher(torch.cat([x1, x2])), dim=1).chunk(2)
    own = torch.arange(len(x1))
    loss = sum(F.cross_entropy(q @ k.T / 0.2, own) * 0.4 for q, k in zip(queries, keys[::-1]))
    loss.backward()
    assert pretrainer.learn(given, 1)["mocov3"].item() == pytest.approx(loss.item(), rel=1e-5)
    rate = pretrainer.optimizer.param_groups[0]["lr"]
    trained = dict(pretrainer.method.student.named_parameters())
    averaged = dict(pretrainer.method.teacher.named_parameters())
    for name, parameter in student.named_parameters():
        expected = parameter - rate * parameter.grad if parameter.grad is not None else parameter
        torch.testing.assert_close(trained[name], expected, atol=1e-6, rtol=1e-4)
    for name, parameter in teacher.named_parameters():
        of_student = trained[name.replace("head.", "head.projector.")]
        torch.testing.assert_close(averaged[name], momentum * parameter + (1 - momentum) * of_student)


@pytest.mark.parametrize("freeze", [True, False])
def test_the_patch_embedding_is_frozen_unless_told_otherwise(make_pretrainer, freeze):
    keys = MOCO["mocov3"] | {"freeze_patch_embedding": freeze}
    pretrainer = make_pretrainer(**MOCO | {"mocov3": keys}, learning_rate=0.5, warmup=0)
    before = pretrainer.method.student.backbone.patch_embed.proj.weight.clone()
    pretrainer.learn(batch(0, local_crops=0), 1)
    assert torch.equal(pretrainer.method.student.backbone.patch_embed.proj.weight, before) == freeze


@pytest.mark.parametrize(
    ("backbone", "layers", "last"),
    [({}, 3, "BatchNorm1d"), ({"backbone": "resnet10t", "backbone_args": {}, "image_px": 32}, 2, "Identity")],
    ids=["transformer", "convnet"],
)
def test_the_heads_are_those_of_the_original(make_pretrainer, backbone, layers, last):
    method = make_pretrainer(**MOCO, **backbone).method
    for head in (method.student.head.projector, method.teacher.head):
        assert sum(isinstance(module, torch.nn.Linear) for module in head) == layers
    assert type(method.student.head.predictor[-1]).__name__ == last
    assert not any(parameter.requires_grad for parameter in method.teacher.parameters())


def test_equal_outputs_have_the_uniform_loss_and_count_as_collapse(make_pretrainer):
    method = make_pretrainer(**MOCO).method
    same = F.normalize(torch.ones(method.settings.batch_size, 7), dim=1)
    loss = 2 * contrast(same, same, 0.2, World())[0].item()
    assert loss == pytest.approx(method.uniform_loss(), rel=1e-5)
    assert "same output" in method.collapse({"mocov3": loss})


def test_the_disentanglement_of_sources_is_scaled_like_the_loss(make_pretrainer):
    method = make_pretrainer(**MOCO, disentangle_weight=0.5, drop_path=0.0).method
    losses = method.losses(method.student, batch(0, with_bank=True, local_crops=0), {})
    torch.testing.assert_close(losses.loss.detach(), losses.logged["mocov3"] + 0.5 * losses.logged["disentangle"])
    assert set(method.losses(method.student, batch(0, local_crops=0), {}).logged) == {"mocov3", "contrast_accuracy"}
