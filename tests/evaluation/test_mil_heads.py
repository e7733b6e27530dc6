import pytest
import torch

from gensis.evaluation.tasks.abmil import GatedAttention
from gensis.evaluation.tasks.dsmil import DualStream

HEADS = (GatedAttention, DualStream)


def whole(bags: torch.Tensor) -> torch.Tensor:
    return torch.ones(bags.shape[:2], dtype=torch.bool)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("head", HEADS)
def test_attention_is_equivariant_to_the_order_of_instances(head):
    model, bags, order = head(16, 3), torch.randn(2, 40, 16), torch.randperm(40)
    logits, attention = model(bags, whole(bags))
    shuffled_logits, shuffled_attention = model(bags[:, order], whole(bags))
    torch.testing.assert_close(shuffled_logits, logits)
    torch.testing.assert_close(shuffled_attention, attention[:, order])


@pytest.mark.parametrize("head", HEADS)
def test_padding_changes_no_output_and_has_no_attention(head):
    model, bag = head(6, 3), torch.randn(1, 5, 6)
    padded = torch.cat([bag, torch.full((1, 4, 6), 9.0)], dim=1)
    present = torch.arange(9)[None] < 5
    logits, attention = model(padded, present)
    expected_logits, expected_attention = model(bag, whole(bag))
    torch.testing.assert_close(logits, expected_logits)
    torch.testing.assert_close(attention[:, :5], expected_attention)
    assert (attention[:, 5:] == 0).all()


@torch.no_grad()
def test_gated_attention_equals_the_formula():
    """Ilse et al. 2018, equations 7 and 9."""
    model, bag = GatedAttention(5, 3, hidden=4, attention=2), torch.randn(7, 5)
    h = (bag @ model.project[0].weight.T + model.project[0].bias).clamp(min=0)
    v = torch.tanh(h @ model.value[0].weight.T + model.value[0].bias)
    u = torch.sigmoid(h @ model.gate[0].weight.T + model.gate[0].bias)
    a = ((v * u) @ model.score.weight[0] + model.score.bias).exp()
    z = (a[:, None] / a.sum() * h).sum(0)
    logits, attention = model(bag[None], whole(bag[None]))
    torch.testing.assert_close(logits[0], (model.classify.weight @ z + model.classify.bias)[None])
    torch.testing.assert_close(attention[0, :, 0], a / a.sum())


@torch.no_grad()
def test_dual_stream_equals_the_formula():
    """Li et al. 2021, section 3.2, class by class."""
    model, bag = DualStream(5, 3, hidden=4), torch.randn(7, 5)
    scores, queries = model.score(bag), model.query(bag)
    expected = []
    for k in range(3):
        critical = scores[:, k].argmax()
        weights = torch.softmax(queries @ queries[critical] / 4**0.5, dim=0)
        expected.append((weights[:, None] * bag).sum(0))
    pooled = torch.stack(expected)
    of_bag = torch.einsum("okd,kd->o", model.classify.weight, pooled) + model.classify.bias
    logits, _ = model(bag[None], whole(bag[None]))
    torch.testing.assert_close(logits[0], torch.stack([scores.max(0).values, of_bag]))
