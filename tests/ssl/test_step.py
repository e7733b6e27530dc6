"""A step compared with a plain version of the original (facebookresearch/dino, main_dino.py and utils.py)."""

import copy

import pytest
import torch
from tests.ssl.conftest import TINY

from gensis.ssl.bank_views import BatchViews
from gensis.ssl.batch import Batch, InterpolatedViews
from gensis.ssl.rates import rates_of

IMAGES, STEPS, FROZEN = 8, 4, 2


def batch(step, with_bank=False, local_crops=2):
    generator = torch.Generator().manual_seed(step)

    def draw(px, *count):
        return (torch.rand(*count, IMAGES, 3, px, px, generator=generator) - 0.5) * 3.4

    views = BatchViews(draw(16, 2), draw(8, local_crops), torch.randint(2, (IMAGES,), generator=generator))
    if not with_bank:
        return Batch(views)
    alpha, counts = (torch.rand(IMAGES, generator=generator) for _ in range(2))
    rows = torch.arange(2 * IMAGES).view(2, IMAGES)
    return Batch(
        views,
        InterpolatedViews(
            views=draw(16),
            partners=draw(16, 1),
            source_slots=views.real_slot.unsqueeze(0),
            alpha=alpha,
            counts=counts.round(),
            rows=rows,
        ),
    )


class Original:
    """Copies of a pretrainer's initial networks, trained with simple loops over tensors."""

    def __init__(self, pretrainer):
        self.student, self.teacher = copy.deepcopy(pretrainer.method.student), copy.deepcopy(pretrainer.method.teacher)
        self.centre = torch.zeros(pretrainer.settings.dino.prototypes)
        named = list(self.student.named_parameters())
        vectors = [name for name, parameter in named if name.endswith(".bias") or parameter.ndim == 1]
        decayed = [parameter for name, parameter in named if name not in vectors]
        exempt = [parameter for name, parameter in named if name in vectors]
        self.optimizer = torch.optim.AdamW([{"params": decayed}, {"params": exempt, "weight_decay": 0.0}], fused=False)

    def step(self, views, rates, scheduled, is_frozen):
        crops = [*views.global_views, *views.local_views]
        logits = torch.stack([self.teacher(crop) for crop in crops[:2]])
        loss, pairs = 0.0, 0
        for number, teacher in enumerate(torch.softmax((logits - self.centre) / scheduled["teacher_temperature"], -1)):
            for other, crop in enumerate(crops):
                if number != other:
                    loss = loss - (teacher * torch.log_softmax(self.student(crop) / 0.1, -1)).sum(-1).mean()
                    pairs += 1
        self.optimizer.zero_grad()
        (loss / pairs).backward()
        for parameter in self.student.parameters():
            parameter.grad *= min(1.0, 3.0 / (parameter.grad.norm().item() + 1e-6))
        if is_frozen:
            self.student.head.prototypes.grad = None
        for group in self.optimizer.param_groups:
            group["lr"] = rates.learning_rate
        self.optimizer.param_groups[0]["weight_decay"] = rates.weight_decay
        self.optimizer.step()
        with torch.no_grad():
            for teacher, student in zip(self.teacher.parameters(), self.student.parameters()):
                teacher.copy_(scheduled["teacher_momentum"] * teacher + (1 - scheduled["teacher_momentum"]) * student)
        self.centre = 0.9 * self.centre + 0.1 * logits.flatten(0, 1).mean(0)
        return (loss / pairs).item()


def test_steps_equal_the_original(make_pretrainer):
    # The learning rate is small, because Adam turns rounding errors of small gradients into large steps. There are no
    # biases of keys, whose gradients are only rounding errors.
    backbone_args = TINY["backbone_args"] | {"qkv_bias": False}
    pretrainer = make_pretrainer(
        drop_path=0.0, freeze_last_layer=FROZEN / 6, learning_rate=0.01, backbone_args=backbone_args
    )
    original = Original(pretrainer)
    for step in range(STEPS):
        given = batch(step)
        rates = rates_of(step, pretrainer.total_steps, IMAGES, pretrainer.settings)
        scheduled = pretrainer.method.scheduled(step, pretrainer.total_steps)
        loss = original.step(given.views, rates, scheduled, is_frozen=step < FROZEN)
        assert pretrainer.learn(given, step)["loss"].item() == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(pretrainer.method.centre, original.centre)
    for ours, theirs in [(pretrainer.method.student, original.student), (pretrainer.method.teacher, original.teacher)]:
        torch.testing.assert_close(dict(ours.named_parameters()), dict(theirs.named_parameters()), atol=1e-5, rtol=1e-4)


def test_gradient_accumulation_equals_the_whole_batch(make_pretrainer):
    whole, parts = (
        make_pretrainer(drop_path=0.0, disentangle_weight=1.0, gradient_accumulation=count) for count in (1, 3)
    )
    given = batch(0, with_bank=True)
    assert [len(part) for part in given.split(3)] == [2, 3, 3]
    figures, others = (pretrainer.learn(given, step=1) for pretrainer in (whole, parts))
    assert "disentangle" in figures
    torch.testing.assert_close(others, figures)
    torch.testing.assert_close(parts.method.centre, whole.method.centre)
    for one, other in zip(whole.method.student.parameters(), parts.method.student.parameters()):
        torch.testing.assert_close(other.grad, one.grad)


def test_a_batch_has_no_more_parts_than_images():
    assert [len(part) for part in batch(0).split(100)] == [1] * IMAGES


def exchanged(given):
    """The same interpolated images with source and partner exchanged."""
    interpolated, rows = given.interpolated, torch.arange(IMAGES)
    (slots,), global_views = interpolated.source_slots, given.views.global_views.clone()
    global_views[slots, rows] = interpolated.partners[0]
    partners = given.views.global_views[slots, rows].unsqueeze(0)
    views = BatchViews(global_views, given.views.local_views, given.views.real_slot)
    return Batch(
        views,
        InterpolatedViews(
            views=interpolated.views,
            partners=partners,
            source_slots=interpolated.source_slots,
            alpha=1 - interpolated.alpha,
            counts=interpolated.counts,
            rows=interpolated.rows.flip(0),
        ),
    )


def test_the_disentangle_loss_has_the_weighted_geometric_mean_as_target(make_pretrainer):
    pretrainer = make_pretrainer(drop_path=0.0, disentangle_weight=1.0)
    pretrainer.method.centre = (
        torch.randn(len(pretrainer.method.centre), generator=torch.Generator().manual_seed(1)) / 50
    )
    given = batch(0, with_bank=True)
    interpolated, temperature = given.interpolated, pretrainer.settings.dino.teacher_temperature
    alpha = interpolated.alpha.unsqueeze(1)

    def losses(batch):
        method = pretrainer.method
        return method.losses(method.student, batch, {"teacher_temperature": temperature}).logged

    def target(views):
        return torch.softmax((pretrainer.method.teacher(views) - pretrainer.method.centre) / temperature, -1)

    with torch.no_grad():
        of_source = target(given.views.global_views[interpolated.source_slots[0], torch.arange(IMAGES)])
        mixed = of_source**alpha * target(interpolated.partners[0]) ** (1 - alpha)
        predicted = torch.log_softmax(pretrainer.method.student(interpolated.views) / 0.1, -1)
        expected = (-(mixed / mixed.sum(1, keepdim=True) * predicted).sum(1) * interpolated.counts).mean()
        figures, of_exchanged = (losses(each) for each in (given, exchanged(given)))
    torch.testing.assert_close(figures["disentangle"], expected, atol=0, rtol=1e-5)
    torch.testing.assert_close(of_exchanged["disentangle"], expected, atol=0, rtol=1e-5)
    assert 0 < interpolated.counts.sum() < IMAGES
