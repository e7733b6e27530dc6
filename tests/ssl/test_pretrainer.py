import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.ssl.conftest import HELD, write_bank

from gensis.augment.views import ViewRecipe
from gensis.errors import UserError
from gensis.ssl.bank_images import open_bank
from gensis.ssl.bank_views import paired_views
from gensis.training.loop import step_seed


def run(pretrainer, steps, first=0):
    rows = []
    for step in range(first, steps):
        torch.manual_seed(step_seed(0, step))
        rows.append({name: float(value) for name, value in pretrainer.step(step).items()})
    return rows


def weights(pretrainer):
    return torch.cat([parameter.flatten() for parameter in pretrainer.method.teacher.parameters()])


@pytest.fixture
def copies(tmp_path, pictures):
    """A bank whose synthetic images are the sources themselves."""
    count = len(pictures)
    write_bank(tmp_path, pictures, range(count), [-1] * count, [1.0] * count, "generative")
    partners = np.roll(np.arange(count), 1)
    write_bank(tmp_path, pictures, range(count), partners, [0.5] * count, "interpolated")
    return {kind: open_bank(tmp_path, kind, sources=count, open_images=HELD) for kind in ("generative", "interpolated")}


def test_teacher_and_centre_get_no_gradient(make_pretrainer, copies):
    pretrainer = make_pretrainer(**copies)
    before = weights(pretrainer)
    row = run(pretrainer, 2)[1]
    assert all(parameter.grad is None for parameter in pretrainer.method.teacher.parameters())
    assert not pretrainer.method.centre.requires_grad
    assert not torch.equal(weights(pretrainer), before)
    assert row["loss"] == pytest.approx(row["dino"] + row["disentangle"])


def test_training_with_a_bank_of_copies_equals_plain_dino(make_pretrainer, copies):
    plain, enhanced = make_pretrainer(), make_pretrainer(**copies, disentangle_weight=0.0)
    assert run(plain, 4) == run(enhanced, 4)
    assert torch.equal(weights(plain), weights(enhanced))


def test_a_bank_of_other_images_changes_training(make_pretrainer, tmp_path, pictures):
    write_bank(tmp_path, 255 - pictures, range(24), [-1] * 24, [1.0] * 24, "generative")
    generative = open_bank(tmp_path, "generative", sources=24, open_images=HELD)
    assert run(make_pretrainer(), 1) != run(make_pretrainer(generative=generative, disentangle_weight=0.0), 1)


def test_slot_selects_the_synthetic_global_view():
    real = torch.zeros(200, 3, 16, 16, dtype=torch.uint8)
    synthetic = torch.full((200, 3, 20, 20), 255, dtype=torch.uint8)
    plain = ViewRecipe(
        size_px=8,
        scale=(0.5, 1.0),
        flip=0,
        rotate=False,
        jitter=0,
        brightness=0,
        contrast=0,
        saturation=0,
        hue=0,
        grayscale=0,
        blur=0,
        solarize=0,
    )
    torch.manual_seed(0)
    slot = torch.randint(2, (200,))
    views = paired_views(
        real,
        synthetic,
        has_synthetic=torch.ones(200, dtype=torch.bool),
        slot=slot,
        recipes=(plain,) * 3,
        local_crops=4,
        local_fraction=0.5,
    )
    first, second = (view.mean((1, 2, 3)).round() for view in views.global_views)
    assert torch.equal(first + second, torch.ones(200))
    assert torch.equal(views.real_slot, first.long())  # slot 0 is synthetic (white) where the real image is in slot 1
    assert torch.equal(first == 1, slot == 0)
    assert [view.mean().round().item() for view in views.local_views] == [1, 1, 0, 0]


def test_the_disentangle_loss_is_not_computed_at_weight_zero(make_pretrainer, copies):
    row = run(make_pretrainer(**copies, disentangle_weight=0.0), 1)[0]
    assert "disentangle" not in row


def test_a_bank_of_another_data_set_is_refused(tmp_path, pictures):
    write_bank(tmp_path, pictures[:2], [0, 99], [-1, -1], [1, 1], "generative")
    with pytest.raises(UserError, match="source 99 is not among 24"):
        open_bank(tmp_path, "generative", sources=24, open_images=HELD)


def test_choose_draws_among_a_sources_own_images_if_it_has_any(tmp_path, pictures):
    write_bank(tmp_path, pictures[:4], [2, 0, 2, 2], [-1] * 4, [1.0] * 4, "generative")
    bank = open_bank(tmp_path, "generative", sources=24, open_images=HELD)
    positions, has = bank.choose(torch.tensor([0, 1, 2] * 50), torch.Generator().manual_seed(0))
    assert has.tolist() == [True, False, True] * 50
    assert set(positions.view(50, 3)[:, 0].tolist()) == {1}
    assert set(positions.view(50, 3)[:, 2].tolist()) == {0, 2, 3}


def test_resuming_from_a_saved_state_gives_identical_weights(make_pretrainer, copies):
    whole = make_pretrainer(**copies)
    run(whole, 4)
    first = make_pretrainer(**copies)
    run(first, 2)
    second = make_pretrainer(**copies)
    second.load_state_dict(first.state_dict())
    run(second, 4, first=2)
    assert torch.equal(weights(whole), weights(second))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("frozen", [0, 3])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_prototypes_do_not_change_while_the_last_layer_is_frozen(make_pretrainer, optimizer, frozen, precision):
    settings = {"optimizer": optimizer, "freeze_last_layer": frozen / 6, "precision": precision, "warmup": 0}
    whole = make_pretrainer(**settings)
    prototypes = [whole.method.student.head.prototypes.detach().clone()]
    states = []
    for step in range(6):
        states.append(copy.deepcopy(whole.state_dict()))
        run(whole, step + 1, first=step)
        prototypes.append(whole.method.student.head.prototypes.detach().clone())
    fixed = [torch.equal(*pair) for pair in pairwise(prototypes)]
    assert fixed == [step < frozen for step in range(6)]
    assert weights(whole).isfinite().all()
    for first in {1, frozen, 5}:  # checkpoints before, at and after unfreezing
        second = make_pretrainer(**settings)
        second.load_state_dict(states[first])
        run(second, 6, first=first)
        assert torch.equal(weights(second), weights(whole))


def test_sgd_starts_with_the_first_gradient_of_unfrozen_prototypes(make_pretrainer):
    pretrainer = make_pretrainer(optimizer="sgd", freeze_last_layer=0.5)
    run(pretrainer, 3)
    prototypes = pretrainer.method.student.head.prototypes
    before = prototypes.detach().clone()
    run(pretrainer, 4, first=3)
    group = pretrainer.optimizer.param_groups[0]
    expected = before - group["lr"] * (prototypes.grad + group["weight_decay"] * before)
    torch.testing.assert_close(prototypes.detach(), expected)


def test_training_depends_on_the_seed_only(make_pretrainer):
    assert run(make_pretrainer(seed=1), 2) == run(make_pretrainer(seed=1), 2)
    assert run(make_pretrainer(seed=1), 2) != run(make_pretrainer(seed=2), 2)


def test_unsupported_local_views_are_refused_before_the_first_step(make_pretrainer):
    with pytest.raises(UserError, match="does not accept local views of 6 px"):
        make_pretrainer(views={"local_crops": 2, "local_px": 6})
