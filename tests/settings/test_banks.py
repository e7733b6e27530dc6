"""Kinds of banks: what each may set, and what the arms that use them are."""

import json

import pytest

from gensis.errors import UserError
from gensis.settings import Study, load_study, stage_json

NEAR = {"kind": "neighbours", "variants": 3}
PLAIN = {"disentangle_weight": 0}


def study(arms: dict | None = None, **banks: dict) -> Study:
    values = {"run": "study", "datasets": {"tiles": {"kind": "slides", "sheet": "slides.csv"}}}
    return load_study(values | {"pretraining": {"dataset": "tiles"}, "banks": banks, "retraining": arms or {}})


@pytest.mark.parametrize("bank", [NEAR, {"kind": "sources"}])
def test_a_bank_of_real_images_has_no_interpolated_images_and_loads_again_from_the_stored_config(bank):
    loaded = study(near=bank)
    assert loaded.banks["near"].alphas == ()
    assert load_study(loaded.resolved()) == loaded


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("guidance", 3.0),
        ("guidance_interval", [0.2, 0.8]),
        ("sampler", "dpm++"),
        ("sampling_steps", 7),
        ("precision", "bfloat16"),
        ("toward_neighbour", {"share": 0.3}),
        ("alphas", [0.3]),
        ("alphas", {"uniform": [0.3, 0.7]}),
    ],
)
def test_keys_of_generation_are_refused_for_real_images(key, value):
    with pytest.raises(UserError, match=f"banks.near: kind: neighbours .* remove {key}$"):
        study(near=NEAR | {key: value})


@pytest.mark.parametrize(
    ("bank", "message"),
    [
        ({"kind": "sources", "variants": 2}, "one image per source: set variants: 1 instead of 2"),
        ({"kind": "neighbours", "variants": 0}, "variants: 0: set at least 1"),
    ],
)
def test_a_number_of_variants_that_a_kind_cannot_have_is_refused(bank, message):
    with pytest.raises(UserError, match=message):
        study(near=bank)


def test_conditions_moved_nowhere_are_refused():
    with pytest.raises(UserError, match=r"banks.b.toward_neighbour.share = 0: .*greater than 0"):
        study(b={"toward_neighbour": {"share": 0}})


def test_an_arm_that_disentangles_needs_interpolated_images():
    with pytest.raises(UserError, match=r"retraining.control needs interpolated images, .* set disentangle_weight: 0"):
        study({"control": {"bank": "near"}}, near=NEAR)


def test_an_arm_with_real_images_in_its_bank_is_never_the_main_arm():
    arms = {"near": {"bank": "near"} | PLAIN, "half": {"bank": "default", "generative_probability": 0} | PLAIN}
    assert study(arms, near=NEAR, default={}).main_arm == "half"


def test_only_generated_banks_condition_a_diffusion_model():
    loaded = study({"arm": {"bank": "default"}}, default={}, near=NEAR | {"encoder": "arm"})
    assert [loaded.conditions_diffusion(name) for name in ("dino", "arm")] == [True, False]


def test_settings_of_generation_are_not_among_those_that_real_images_depend_on():
    assert json.loads(stage_json(study(near=NEAR), "banks/near")) == NEAR | {"encoder": "dino", "alphas": []}
