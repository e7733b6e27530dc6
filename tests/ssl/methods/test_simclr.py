import math

import pytest
import torch
from tests.ssl.conftest import TINY
from tests.ssl.test_step import batch
from torch.nn import functional as F

from gensis.settings.pretraining import Pretraining
from gensis.ssl.method import method_class
from gensis.ssl.methods.simclr import nt_xent
from gensis.training.distributed import World

SIMCLR = {"method": "simclr", "simclr": {"head_hidden_dim": 16, "head_output_dim": 8}, "views": {"local_crops": 0}}


@pytest.fixture
def outputs():
    """Outputs of two views of five images: float32 (2, 5, 7)."""
    return torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))


def reference(outputs, temperature):
    """Equation 1 of arXiv 2002.05709, pair by pair."""
    z = [F.normalize(output, dim=0) for output in outputs.flatten(0, 1)]
    half, total = len(z) // 2, 0.0
    for i in range(len(z)):
        similarity = {k: math.exp(float(z[i] @ z[k]) / temperature) for k in range(len(z)) if k != i}
        total -= math.log(similarity[(i + half) % len(z)] / sum(similarity.values()))
    return total / len(z)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_equals_the_papers_equation(outputs, temperature):
    loss, _ = nt_xent(F.normalize(outputs, dim=2), temperature, World())
    assert loss.item() == pytest.approx(reference(outputs, temperature), rel=1e-5)


@pytest.mark.parametrize(("temperature", "theirs"), [(0.1, 5.76766300201416), (0.5, 2.3314781188964844)])
def test_nt_xent_equals_lightlys_on_the_same_numbers(outputs, temperature, theirs):
    """The values are those of lightly 1.6.0, NTXentLoss(temperature)(*outputs)."""
    loss, _ = nt_xent(F.normalize(outputs, dim=2), temperature, World())
    assert loss.item() == pytest.approx(theirs, rel=1e-5)


def test_accuracy_is_the_share_of_views_whose_nearest_is_the_other_view():
    first = torch.eye(4)
    second = torch.eye(4)[[0, 1, 3, 2]]
    assert nt_xent(torch.stack([first, first]), 0.1, World())[1].item() == 1.0
    assert nt_xent(torch.stack([first, second]), 0.1, World())[1].item() == 0.5


def test_equal_outputs_have_the_uniform_loss_and_count_as_collapse(make_pretrainer):
    method = make_pretrainer(**SIMCLR).method
    same = F.normalize(torch.ones(2, TINY["batch_size"], 7), dim=2)
    loss = nt_xent(same, method.settings.simclr.temperature, World())[0].item()
    assert loss == pytest.approx(method.uniform_loss(), rel=1e-5)
    assert "same output" in method.collapse({"simclr": loss})
    assert method.collapse({"simclr": 0.9 * loss}) == ""


def test_a_step_minimises_nt_xent_and_the_disentanglement_of_sources(make_pretrainer):
    method = make_pretrainer(**SIMCLR, disentangle_weight=0.5, drop_path=0.0).method
    given = batch(0, with_bank=True, local_crops=0)
    losses = method.losses(method.student, given, {})
    expected = losses.logged["simclr"] + 0.5 * losses.logged["disentangle"]
    torch.testing.assert_close(losses.loss.detach(), expected)
    alone = method.losses(method.student, batch(0, local_crops=0), {})
    assert set(alone.logged) == {"simclr", "contrast_accuracy"}
    losses.loss.backward()
    assert all(parameter.grad is not None for parameter in method.student.parameters())


def test_the_published_encoder_is_the_trained_one(make_pretrainer):
    pretrainer = make_pretrainer(**SIMCLR)
    pretrainer.learn(batch(0, local_crops=0), 0)
    ours, trained = pretrainer.encoder().state_dict(), pretrainer.method.student.backbone.state_dict()
    assert all(torch.equal(ours[name], trained[name]) for name in trained)


def test_the_temperature_is_the_papers_at_the_size_of_imagenet():
    settings = Pretraining(dataset="d", method="simclr")
    of_size = {n: method_class("simclr").automatic(settings, n, True)["temperature"][0] for n in (2_000, 1_281_167)}
    assert of_size == {2_000: 0.2, 1_281_167: 0.1}
