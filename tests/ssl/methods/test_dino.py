import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gensis.ssl.methods.dino import (
    DINOHead,
    collapse,
    cross_entropy,
    dino_loss,
    entropy,
    mixed_logits,
    teacher_targets,
)

STUDENT, TEACHER = 0.1, 0.04


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator) / 5


def reference_dino_loss(student, teacher, centre):
    """The original's loop over pairs of crops (arXiv 2104.14294, algorithm 1)."""
    total, pairs = 0.0, 0
    for number, one in enumerate(teacher):
        target = torch.softmax((one - centre) / TEACHER, dim=-1)
        for other, crop in enumerate(student):
            if number != other:
                total += torch.sum(-target * torch.log_softmax(crop / STUDENT, dim=-1), dim=-1).mean()
                pairs += 1
    return total / pairs


def test_the_dino_loss_equals_the_reference_over_pairs_of_different_crops(logits):
    teacher, student, centre = logits(2, 4, 7), [logits(4, 7) for _ in range(5)], logits(7)
    ours = dino_loss(teacher_targets(teacher, centre, TEACHER), student, STUDENT)
    torch.testing.assert_close(ours, reference_dino_loss(student, teacher, centre))


def test_the_loss_of_a_uniform_collapse_is_ln_k():
    targets = torch.full((2, 3, 8), 1 / 8)
    assert dino_loss(targets, [torch.zeros(3, 8)] * 4, STUDENT).item() == pytest.approx(math.log(8))
    assert entropy(targets).item() == pytest.approx(math.log(8))


def test_the_disentangle_target_is_the_normalised_geometric_mean_of_dino_targets(logits):
    first, second, centre = logits(4, 7), logits(4, 7), logits(7)
    alpha = torch.tensor([0.0, 0.3, 0.5, 1.0])
    one, two = (teacher_targets(each, centre, TEACHER).double() for each in (first, second))
    product = one ** alpha.unsqueeze(1) * two ** (1 - alpha).unsqueeze(1)
    geometric = product / product.sum(1, keepdim=True)
    ours = teacher_targets(mixed_logits(first, second, alpha), centre, TEACHER)
    torch.testing.assert_close(ours.double(), geometric, atol=1e-5, rtol=1e-4)
    arithmetic = 0.5 * one[2] + 0.5 * two[2]
    assert (ours[2].double() - arithmetic).abs().max() > 0.05


def test_alpha_one_gives_the_dino_target_of_the_source(logits):
    first, second, centre = logits(4, 7), logits(4, 7), logits(7)
    ours = teacher_targets(mixed_logits(first, second, torch.ones(4)), centre, TEACHER)
    torch.testing.assert_close(ours, teacher_targets(first, centre, TEACHER))


def test_exchanging_the_sources_and_alpha_gives_the_same_target(logits):
    first, second, centre = logits(4, 7), logits(4, 7), logits(7)
    alpha = torch.rand(4)
    one = teacher_targets(mixed_logits(first, second, alpha), centre, TEACHER)
    torch.testing.assert_close(one, teacher_targets(mixed_logits(second, first, 1 - alpha), centre, TEACHER))


def test_cross_entropy_equals_torchs_for_soft_targets(logits):
    targets, student = F.softmax(logits(4, 7), -1), logits(4, 7)
    torch.testing.assert_close(cross_entropy(targets, student, STUDENT), F.cross_entropy(student / STUDENT, targets))


def test_the_head_equals_a_weight_normed_layer_with_unit_gain():
    torch.manual_seed(0)
    head = DINOHead(6, prototypes=9, hidden=8, bottleneck=4, batch_norm=False)
    last = nn.utils.parametrizations.weight_norm(nn.Linear(4, 9, bias=False))
    last.parametrizations.weight.original0.data.fill_(1)
    last.parametrizations.weight.original1.data.copy_(head.prototypes.data)
    features = torch.randn(5, 6)
    torch.testing.assert_close(head(features), last(nn.functional.normalize(head.mlp(features), dim=-1)))


def test_prototypes_are_initialised_like_a_linear_layer():
    torch.manual_seed(0)
    head = DINOHead(6, prototypes=500, hidden=8, bottleneck=64, batch_norm=False)
    linear = nn.Linear(64, 500, bias=False)
    ours, theirs = head.prototypes.detach(), linear.weight.detach()
    assert ours.abs().max() <= 1 / 8
    torch.testing.assert_close(ours.std(), theirs.std(), rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("of_image", "of_batch", "warning"),
    [
        (0.0, 0.0, "one prototype"),
        (0.999, 1.0, "uniform"),
        (0.5, 0.5, "the same target"),
        (0.16, 0.63, ""),
        (0.82, 0.96, ""),
        (0.0, 1.0, ""),
    ],
)
@pytest.mark.parametrize("prototypes", [16, 1024, 65536])
def test_each_kind_of_collapse_is_detected_and_no_other(of_image, of_batch, warning, prototypes):
    largest = math.log(prototypes)
    found = collapse(of_image * largest, of_batch * largest, prototypes)
    assert warning in found if warning else not found
