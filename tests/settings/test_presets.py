import copy
import json

import pytest

from gensis.errors import UserError
from gensis.settings import load_study, stage_json
from gensis.settings.pretraining import Pretraining

# Defaults of the authors' main_dino.py and of its augmentations. Durations in epochs are fractions of 100.
PUBLISHED = {
    "method": "dino",
    "backbone": "vit_small_patch16_224",
    "backbone_args": {},
    "image_px": 224,
    "epochs": 100,
    "batch_size": 64 * 8,
    "optimizer": "adamw",
    "learning_rate": 0.0005,
    "minimum_learning_rate": 1e-6,
    "warmup": 10 / 100,
    "weight_decay": [0.04, 0.4],
    "gradient_clip_norm": 3.0,
    "drop_path": 0.1,
    "precision": "bfloat16",
}
PUBLISHED_DINO = {
    "prototypes": 65536,
    "head_hidden_dim": 2048,
    "head_bottleneck_dim": 256,
    "head_batch_norm": False,
    "student_temperature": 0.1,
    "teacher_temperature": 0.04,
    "teacher_temperature_start": 0.04,
    "teacher_temperature_warmup": 0,
    "centre_momentum": 0.9,
    "teacher_momentum": 0.996,
    "freeze_last_layer": 1 / 100,
}
PUBLISHED_VIEWS = {
    "local_crops": 8,
    "local_px": 96,
    "global_scale": [0.4, 1.0],
    "local_scale": [0.05, 0.4],
    "flip": 0.5,
    "rotate": False,
    "jitter": 0.8,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.2,
    "hue": 0.1,
    "grayscale": 0.2,
    "blur": [1.0, 0.1, 0.5],
    "solarize": 0.2,
}
STUDY = {
    "run": "study",
    "datasets": {"tiles": {"kind": "slides", "sheet": "slides.csv"}},
    "pretraining": {"dataset": "tiles", "preset": "paper"},
    "banks": {"default": {}},
    "retraining": {"gen-dino": {"bank": "default"}},
}


def resolved(**values: object) -> dict:
    return json.loads(Pretraining(dataset="tiles", preset="paper", **values).model_dump_json())


def test_the_paper_preset_has_the_published_values():
    values = resolved()
    assert values.pop("views") == PUBLISHED_VIEWS
    assert values.pop("dino") == PUBLISHED_DINO
    assert values == PUBLISHED | {"dataset": "tiles", "preset": "paper"}


def test_keys_beside_the_preset_override_it():
    values = resolved(batch_size=64, dino={"teacher_temperature": "auto"}, views={"rotate": True, "local_crops": 2})
    assert values.pop("views") == PUBLISHED_VIEWS | {"rotate": True, "local_crops": 2}
    assert values.pop("dino") == PUBLISHED_DINO | {"teacher_temperature": "auto"}
    assert values == PUBLISHED | {"batch_size": 64} | {"dataset": "tiles", "preset": "paper"}


@pytest.mark.parametrize(("epochs", "warmup", "frozen"), [(300, 10 / 300, 1 / 300), (4, 1.0, 1 / 4)])
def test_warmup_and_freezing_keep_their_epochs_in_trainings_of_other_lengths(epochs, warmup, frozen):
    values = resolved(epochs=epochs)
    assert (values["warmup"], values["dino"]["freeze_last_layer"]) == (warmup, frozen)
    assert resolved(epochs=epochs, warmup=0.5)["warmup"] == 0.5


def test_retraining_inherits_the_preset_also_in_a_resolved_study():
    study = load_study(STUDY)
    again = load_study(study.resolved())
    for encoder in ("encoders/dino", "encoders/gen-dino"):
        trained = json.loads(stage_json(study, encoder))
        assert trained["dino"]["prototypes"] == 65536
        assert stage_json(again, encoder) == stage_json(study, encoder)


def test_an_arm_of_another_length_keeps_the_epochs_of_warmup():
    values = copy.deepcopy(STUDY)
    values["retraining"]["gen-dino"]["epochs"] = 50
    assert load_study(values).retraining["gen-dino"].warmup == 10 / 50


def test_an_error_beside_the_preset_names_the_key():
    for key, value, expected in [
        ("preset", "article", "pretraining.preset = article"),
        ("epochs", "many", "pretraining.epochs = many"),
        ("epochs", 0, "pretraining.epochs = 0"),
        ("views", {"blurr": 1}, "pretraining.views.blurr"),
    ]:
        values = STUDY | {"pretraining": STUDY["pretraining"] | {key: value}}
        with pytest.raises(UserError, match=expected):
            load_study(values)


def test_preset_is_left_out_of_the_json_if_not_set():
    assert "preset" not in json.loads(Pretraining(dataset="tiles").model_dump_json())
