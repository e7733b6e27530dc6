"""Roles of a study's encoders, in words."""

import pytest

from gensis.settings import load_study
from gensis.settings.roles import method, roles

BANKS = {
    "default": {"variants": 2},
    "near": {"kind": "neighbours", "variants": 2},
    "own": {"kind": "sources"},
}
WHOLE = {"bank": "default"}


def roles_of(arms: dict) -> dict[str, str]:
    values = {"run": "study", "datasets": {"tiles": {"kind": "slides", "sheet": "slides.csv"}}}
    return roles(load_study(values | {"pretraining": {"dataset": "tiles"}, "banks": BANKS, "retraining": arms}))


@pytest.mark.parametrize(
    ("arm", "role"),
    [
        ({}, "retrained with the bank default"),
        ({"epochs": 3, "init": "dino"}, "retrained with the bank default"),
        ({"shuffle_bank": True}, "retrained with the bank default, shuffled as a negative control"),
        ({"disentangle_weight": 0}, "retrained with the bank default, without disentanglement"),
        ({"generative_probability": 0}, "retrained with the bank default, without generative views"),
        ({"generative_probability": {"start": 0, "end": 1}}, "retrained with the bank default"),
        (
            {"generative_views": "add"},
            "retrained with the bank default, whose images are further views of the student",
        ),
        (
            {"generative_views": "add", "generative_probability": 0},
            "retrained with the bank default, without generative views",
        ),
        ({"real_images": False}, "retrained with the bank default, without real images"),
        ({"interpolation": "pixel"}, "retrained with the bank default, interpolating pixels instead of embeddings"),
        (
            {"interpolation": "pixel", "disentangle_weight": 0},
            "retrained with the bank default, without disentanglement",
        ),
        (
            {"bank": "near", "disentangle_weight": 0},
            "retrained with the bank near, the nearest real images of each source as a control, without "
            "disentanglement",
        ),
        (
            {"bank": "own", "disentangle_weight": 0},
            "retrained with the bank own, the sources themselves as a control, without disentanglement",
        ),
        ({"match_compute": "other"}, "retrained with the bank default, with the compute of other"),
        ({"match_compute": "other", "bank": None}, "trained without a bank, with the compute of other"),
        ({"epochs": 200, "bank": None}, "trained without a bank, for 200 epochs instead of 100"),
        (
            {"views": {"solarize": 0}, "learning_rate": 0.1, "bank": None},
            "trained without a bank, with other views, learning_rate",
        ),
        (
            {"match_compute": "other", "bank": None, "drop_path": 0},
            "trained without a bank, with the compute of other, with other drop_path",
        ),
    ],
)
def test_the_role_of_an_arm_follows_from_its_keys(arm, role):
    found = roles_of({"gen-dino-no-disentangle-shuffled": WHOLE | arm, "other": WHOLE})
    assert found["gen-dino-no-disentangle-shuffled"] == role


def test_roles_come_in_order_of_baseline_arms_and_untrained():
    assert list(roles_of({"z": WHOLE, "a": WHOLE})) == ["dino", "z", "a", "random", "pixels"]


def test_the_method_has_its_proper_name():
    assert method(load_study({"run": "a", "datasets": {"d": {"kind": "folder", "path": "photos"}}})) == "DINO"
