"""What every method of the registry keeps: banks, resuming and precision."""

import pytest
import torch
from tests.ssl.conftest import HELD, write_bank
from tests.ssl.test_pretrainer import copies, run  # noqa: F401 (a fixture)

from gensis.errors import UserError
from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining
from gensis.ssl.bank_images import open_bank
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

EACH = pytest.mark.parametrize("name", METHODS)


def of_method(name, **settings):
    return {"method": name, "views": {"local_crops": 0}, **settings}


def state(pretrainer):
    return torch.cat([value.flatten().float() for value in pretrainer.method.state_dict().values()])


@EACH
def test_a_bank_of_copies_trains_like_no_bank(make_pretrainer, copies, name):  # noqa: F811
    plain = make_pretrainer(**of_method(name))
    enhanced = make_pretrainer(**of_method(name), **copies, disentangle_weight=0.0)
    assert run(plain, 3) == run(enhanced, 3)
    assert torch.equal(state(plain), state(enhanced))


@EACH
def test_generated_views_and_interpolated_images_change_the_training(make_pretrainer, copies, name, tmp_path, pictures):  # noqa: F811
    write_bank(tmp_path, 255 - pictures, range(24), [-1] * 24, [1.0] * 24, "generative")
    generative = open_bank(tmp_path, "generative", sources=24, open_images=HELD)
    plain = run(make_pretrainer(**of_method(name)), 1)[0]
    generated = run(make_pretrainer(**of_method(name), generative=generative, disentangle_weight=0.0), 1)[0]
    assert generated["loss"] != plain["loss"]
    disentangled = run(make_pretrainer(**of_method(name), **copies), 1)[0]
    assert disentangled["loss"] == pytest.approx(disentangled[name] + disentangled["disentangle"])
    assert disentangled["disentangle"] > 0


@EACH
def test_resuming_gives_identical_weights(make_pretrainer, copies, name):  # noqa: F811
    whole, first, second = (make_pretrainer(**of_method(name), **copies) for _ in range(3))
    run(whole, 4)
    run(first, 2)
    second.load_state_dict(first.state_dict())
    run(second, 4, first=2)
    assert torch.equal(state(whole), state(second))


@EACH
def test_logits_are_bfloat16_if_told(make_pretrainer, name):
    pretrainer = make_pretrainer(**of_method(name), precision="bfloat16")
    assert pretrainer.method.student(torch.zeros(4, 3, 16, 16)).dtype == torch.bfloat16
    assert run(pretrainer, 1)[0]["loss"] == pytest.approx(run(make_pretrainer(**of_method(name)), 1)[0]["loss"], 0.05)


@EACH
def test_a_batch_of_images_that_are_compared_is_divided_equally(images, name):
    settings = Pretraining(**of_method(name, dataset="d", backbone="resnet10t", image_px=32, batch_size=7))

    def build():
        Pretrainer(settings, images, device=torch.device("cpu"), world=World(0, 2), seed=0)

    if METHODS[name].compares_images:
        with pytest.raises(UserError, match="batch_size 7 is not a multiple of the 2 processes"):
            build()


def test_keys_that_a_contrastive_method_cannot_follow_are_refused():
    for given in ({"gradient_accumulation": 2}, {"views": {"local_crops": 2}}, {"preset": "paper"}):
        with pytest.raises(ValueError, match=next(iter(given))):
            Pretraining(dataset="d", method="simclr", **given)
