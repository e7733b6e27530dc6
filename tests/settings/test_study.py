import copy
import json
from pathlib import Path

import pytest

from gensis.errors import UserError
from gensis.settings import load_study, stage_json
from gensis.settings.autoencoder_training import autoencoder_files
from gensis.settings.base import Settings, added, canonical_json
from gensis.settings.encoders import weight_files

STUDY = {
    "run": "study",
    "datasets": {name: {"kind": "slides", "sheet": "slides.csv"} for name in ("tiles", "more")},
    "pretraining": {"dataset": "tiles"},
    "banks": {"default": {}},
    "retraining": {"gen-dino": {"bank": "default"}},
}


def changed(path: str, value: object) -> dict:
    values = copy.deepcopy(STUDY)
    *folders, key = path.split("/")
    section = values
    for folder in folders:
        section = section.setdefault(folder, {})
    section[key] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("pretraining/epoch", 3, "unknown key pretraining.epoch"),
        ("pretraining/epohcs", 3, "unknown key pretraining.epohcs: did you mean 'epochs'? correct or remove it"),
        ("pretrainng", {}, "unknown key pretrainng: did you mean 'pretraining'?"),
        ("datasets/tiles/tile_pixel", 3, "unknown key datasets.tiles.tile_pixel: did you mean 'tile_px'?"),
        ("datasets/tiles/qqqq", 3, "unknown key datasets.tiles.qqqq: correct or remove it"),
        (
            "datasets/tiles/targets",
            {"os": "survival"},
            "os = survival: must be 'classification' or 'regression' or keys, such as {survival: {event: os_event}}",
        ),
        ("datasets/tiles/targets", {"os": {"survival": {"event": 3}}}, "event = 3: input should be a valid"),
        ("runtime/compile", "reduce_overhead", ": must be a valid boolean or 'reduce-overhead'"),
        ("pretraining/views", {"local_px": 0}, "views.local_px = 0: must be greater than 0 or 'auto'"),
        ("pretraining/gradient_accumulation", "x", "gradient_accumulation = x: must be a valid integer or 'auto'"),
        ("diffusion/image_px", "x", "diffusion.image_px = x: must be a valid integer or 'auto'"),
        ("retraining/gen-dino/generative_probability", {"start": 0}, "generative_probability.end is missing: add it"),
        (
            "retraining/gen-dino/generative_probability",
            "x",
            "generative_probability = x: must be a valid number or keys, such as {start: 0, end: 1}",
        ),
        ("pretraining/views", {"global_scale": 0.5}, "scale = 0.5: must be a list, such as [0.4, 1] or 'auto'"),
        ("pretraining/weight_decay", 0.1, "weight_decay = 0.1: must be a list, such as [0.04, 0.4]"),
        ("pretraining/epochs", -1, "pretraining.epochs = -1"),
        ("pretraining/epochs", "many", "pretraining.epochs = many"),
        ("datasets/tiles/tile_px", 0, "datasets.tiles.tile_px = 0"),
        ("datasets/tiles/kind", "pictures", "`kind` must be one of slides"),
        ("datasets/a b", {"kind": "slides", "sheet": "x.csv"}, "is not a valid name"),
        ("run", "../elsewhere", "is not a valid name"),
        ("run", "images", "run = images: results/images has the images of all runs: choose another name"),
        ("pretraining/dataset", "absent", "'absent' is not one of tiles"),
        ("pretraining/backbone", "vit_gigantic", "timm has no model 'vit_gigantic'"),
        ("retraining/gen-dino/bank", "absent", "'absent' is not one of default"),
        ("retraining/pixels", {"bank": "default"}, "reserved"),
        ("banks/default", {"variants": 0}, "banks.default has variants: 0"),
        ("banks/default", {"alphas": []}, "banks.default has alphas: []"),
        (
            "retraining/gen-dino",
            {"bank": "default", "shuffle_bank": True, "disentangle_targets": "both"},
            "shuffle_bank: true is no control",
        ),
        ("banks/default/encoder", "gen-dino", "break the cycle"),
        ("banks/default", {"variants": 0, "alphas": []}, "empty bank"),
        ("diffusion/image_px", 96, "below half of pretraining.image_px 224"),
        ("autoencoder_training/image_px", 126, "autoencoder_training.image_px 126 cannot be halved 2 times"),
        ("datasets/tiles/sheet", "$NOT_SET_ANYWHERE/a.csv", "environment variable $NOT_SET_ANYWHERE is not set"),
        ("datasets/tiles/sheet", "a{b}.csv", "brace"),
        ("evaluation/transfer", [{"fit": "tiles", "test": ["more"]}], "evaluation.transfer.0: 'tiles' does not exist"),
        ("evaluation/transfer", [{"fit": "tiles", "test": ["tiles"]}], "tiles is `fit` itself"),
        (
            "evaluation/benchmarks",
            {"davis": {"task": "videos", "path": "davis"}},
            "`task` must be one of copy-detection",
        ),
        ("evaluation/benchmarks", {"davis": {"path": "davis"}}, "davis: `task` must be one of copy-detection"),
        (
            "evaluation",
            {"datasets": ["tiles", "more"], "transfer": [{"fit": "tiles", "test": ["more"]}] * 2},
            "names two results",
        ),
        (
            "evaluation",
            {
                "datasets": ["tiles", "more"],
                "transfer": [{"fit": "tiles", "test": ["more"]}],
                "knn": [],
                "linear": False,
                "slides": [],
            },
            "`knn`, `linear` and `slides` are switched off",
        ),
        ("seeds", [], "seeds = []: must have at least 1 item"),
        ("seeds", [0, "x"], "seeds.1 = x"),
        ("seeds", [0, 2**32], "seeds.1 = 4294967296: input should be less than 4294967296"),
        ("banks/default/seed", 2**32, "banks.default.seed = 4294967296: input should be less than 4294967296"),
        ("datasets/slides", {"kind": "slides", "sheet": "x.csv", "mpp": 0}, "datasets.slides.mpp = 0"),
        (
            "datasets/tiles/quality",
            {"maximum": {"pen": 0.1}},
            "datasets.tiles.quality.maximum.pen = pen: input should be",
        ),
        ("datasets/tiles/quality", {"minimum": {"focus": "sharp"}}, "datasets.tiles.quality.minimum.focus = sharp"),
        ("datasets/tiles/quality", {"maximum": {"pen_fraction": 10}}, "pen_fraction 10 is above 1"),
        ("pretraining/views", {"blur": [1, 0.1]}, "pretraining.views.blur.2 is missing"),
        ("pretraining/dino/prototypes", "few", "pretraining.dino.prototypes = few"),
        (
            "pretraining/prototypes",
            9,
            "unknown key pretraining.prototypes: it is a key of dino: write pretraining.dino.prototypes",
        ),
        ("pretraining/simclr", {}, "pretraining: simclr: the method is dino: remove this section"),
        (
            "pretraining/method",
            ["dino", "simclr"],
            "pretraining.method = ['dino', 'simclr']: input should be 'dino', 's",
        ),
        ("pretraining", {"dataset": "tiles", "preset": "paper", "dino": 5}, "pretraining.dino must contain keys"),
        ("runtime/image_cache_gb", float("inf"), "runtime.image_cache_gb = inf: input should be a finite number"),
        ("runtime/checkpoint_seconds", float("inf"), "checkpoint_seconds = inf: input should be a finite number"),
        ("retraining", {"gen-dino": {"bank": "default"}, "other": None}, "retraining.other must contain keys, such as"),
        ("evaluation/benchmarks", {"davis": "data"}, "such as {task: copy-detection, path: folder}"),
        ("datasets/tiles/sheet", "${NOT_SET_HERE}/s.csv", "the environment variable $NOT_SET_HERE is not set: set it"),
        ("pretraining/method", "byol", "pretraining.method = byol: input should be 'dino', 'simclr' or 'mocov3'"),
        ("retraining/gen-dino/generative_probability", 2, "retraining.gen-dino.generative_probability = 2"),
        ("banks/default/alphas", {"uniform": [0.7, 0.3]}, "banks.default.alphas"),
        ("banks/default/filter", {}, "filter excludes nothing"),
        ("banks/default/guidance_interval", [0.7, 0.3], "goes from high to low"),
        ("retraining/gen-dino", {}, "retraining.gen-dino.bank is missing: without it this arm equals dino: set it, or"),
        (
            "retraining/longer",
            {"match_compute": "longer"},
            "retraining.longer.match_compute: 'longer' is not one of gen-dino",
        ),
        (
            "retraining/gen-dino/real_images",
            False,
            "both views come from banks.default, which has variants: 1: set at least 2",
        ),
        (
            "retraining/gen-dino",
            {"bank": "default", "real_images": False, "generative_probability": 0.5},
            "config: retraining.gen-dino: real_images: false takes all views from the bank: leave",
        ),
        (
            "retraining/gen-dino",
            {"bank": "default", "interpolation": "pixel", "disentangle_targets": "both"},
            "interpolation: pixel needs real images: leave",
        ),
        (
            "retraining/gen-dino",
            {"bank": "default", "generative_views": "add", "disentangle_targets": "both"},
            "generative_views: add keeps real images for the teacher: leave",
        ),
        (
            "retraining/gen-dino",
            {"bank": "default", "generative_probability": 0, "disentangle_targets": "generative"},
            "disentangle_targets: generative needs a generative_probability above 0",
        ),
        ("banks/default/seed", 4, "banks.default.seed: '4' is not one of 0"),
        ("banks/default", None, "banks.default must contain keys"),
        ("retraining", {"gen-dino": "default"}, "retraining.gen-dino must contain keys"),
        ("pretraining", None, "pretraining is missing: add it, or remove retraining"),
        ("pretraining/init", "mine", "pretraining.init: 'mine' does not exist: none is defined"),
        ("pretraining/init", "dino", "pretraining.init: 'dino' does not exist: none is defined"),
        ("retraining/gen-dino/init", "gen-dino", "'gen-dino' is not one of dino"),
        (
            "retraining/gen-dino",
            {"bank": "default", "init": "dino", "backbone": "resnet50"},
            "retraining.gen-dino.init: dino has the backbone vit_small_patch16_224, and this arm resnet50: use one",
        ),
        (
            "encoders",
            {"dino": {"timm": "vit_small_patch16_224.dino"}},
            "encoders.dino: dino, simclr, mocov3, random, pixels, chance are",
        ),
        ("encoders", {"gen-dino": {"path": "there"}}, "encoders.gen-dino: this name is also in retraining"),
        ("encoders", {"mine": {}}, "encoders.mine = {}: it has no weights: set `timm`, or the `path`"),
        ("encoders", {"mine": {"timm": "vit_gigantic.dino"}}, "encoders.mine.timm: timm has no model 'vit_gigantic'"),
        ("encoders", {"mine": "there"}, "encoders.mine must contain keys"),
        ("seeds", 3, "seeds = 3: must be a list: write [3]"),
        ("seeds", [0, 1, 0], "seeds = [0, 1, 0]: 0 is listed twice: list each once"),
        ("evaluation/datasets", "tree", "evaluation.datasets = tree: must be a list: write [tree]"),
        ("evaluation/knn", None, "evaluation.knn = None: must be a list"),
        ("datasets", None, "datasets must contain keys, such as {tiles: {kind: slides, sheet: slides.csv}}"),
        ("datasets/tiles", None, "datasets.tiles must contain keys, such as {kind: slides, sheet: slides.csv}"),
        ("retraining/gen-dino", None, "retraining.gen-dino must contain keys, such as {bank: default}"),
        ("pretraining", 3, "pretraining must contain keys, such as {dataset: tiles}"),
        ("evaluation", None, "evaluation must contain keys: write {} for the defaults"),
        ("runtime", {"compile": "reduce-overhead", "sharding": "fsdp"}, "use compile: true, or sharding: none"),
        ("export", {"datasets": ["tree"]}, "export.datasets: 'tree' is not one of tiles"),
        ("export", {"banks": ["other"]}, "export.banks: 'other' is not one of default"),
        (
            "datasets/tree",
            {"kind": "folder", "path": "x", "max_images": {"train": 5}, "image_range": {"train": [0, 5]}},
            "image_range.train: max_images chooses images of this split too",
        ),
        (
            "datasets/tree",
            {"kind": "folder", "path": "x", "image_range": {"training": [0, 5]}},
            "datasets.tree.image_range.training",
        ),
        (
            "datasets/tree",
            {"kind": "folder", "path": "x", "image_range": {"train": [5, 5]}},
            "[5, 5] is empty: put the smaller number first",
        ),
        (
            "datasets/tree",
            {"kind": "folder", "path": "x", "max_images": 5000},
            "datasets.tree.max_images must contain keys, such as {train: 5000}",
        ),
    ],
)
def test_an_error_is_one_line_that_names_the_key(path, value, expected):
    with pytest.raises(UserError) as error:
        load_study(changed(path, value), frozenset({"vit_small_patch16_224"}))
    message = str(error.value)
    assert expected in message
    assert "\n" not in message


def test_heun_is_refused_unless_the_objective_is_flow():
    with pytest.raises(UserError, match=r"heun needs diffusion\.objective flow"):
        load_study(changed("diffusion/objective", "epsilon") | {"banks": {"default": {"sampler": "heun"}}})


def test_retraining_inherits_every_key_of_pretraining_and_may_override_it():
    values = changed("pretraining/batch_size", 64)
    values["retraining"]["gen-dino"]["epochs"] = 7
    arm = load_study(values).retraining["gen-dino"]
    assert (arm.batch_size, arm.epochs, arm.dataset) == (64, 7, "tiles")


def test_an_arm_inherits_nested_sections_key_by_key():
    values = changed("pretraining/views", {"rotate": True, "stain": 0.1, "local_crops": 2})
    values["pretraining"]["backbone_args"] = {"patch_size": 4, "depth": 2}
    values["retraining"]["gen-dino"] |= {"views": {"solarize": 0, "stain": 0}, "backbone_args": {"depth": 3}}
    study = load_study(values)
    arm, pretraining = study.retraining["gen-dino"], study.pretraining
    assert (arm.views.rotate, arm.views.local_crops, arm.views.solarize, arm.views.stain) == (True, 2, 0, 0)
    assert arm.backbone_args == {"patch_size": 4, "depth": 3}
    assert (pretraining.views.solarize, pretraining.views.stain, pretraining.backbone_args["depth"]) == (0.2, 0.1, 2)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [("resnet18", {}), ("vit_small_patch16_224", {"patch_size": 4}), (None, {"patch_size": 4})],
)
def test_arguments_of_one_backbone_are_not_inherited_by_another(backbone, expected):
    values = changed("pretraining/backbone_args", {"patch_size": 4})
    values["retraining"]["gen-dino"] |= {"backbone": backbone} if backbone else {}
    assert load_study(values).retraining["gen-dino"].backbone_args == expected


def test_null_in_an_arm_sets_a_value_to_none_but_is_refused_for_a_section():
    values = changed("pretraining/gradient_clip_norm", 1.0)
    values["retraining"]["gen-dino"]["gradient_clip_norm"] = None
    assert load_study(values).retraining["gen-dino"].gradient_clip_norm is None
    values["retraining"]["gen-dino"]["views"] = None
    with pytest.raises(UserError, match=r"retraining\.gen-dino\.views must contain keys"):
        load_study(values)


def test_resolving_keeps_keys_that_an_arm_sets_back_to_their_default():
    values = changed("pretraining/gradient_accumulation", 4)
    values["pretraining"]["views"] = {"stain": 0.1}
    values["retraining"]["gen-dino"] |= {"gradient_accumulation": 1, "views": {"stain": 0}}
    study = load_study(values)
    again = load_study(json.loads(json.dumps(study.resolved())))
    assert again == study
    assert (again.retraining["gen-dino"].gradient_accumulation, again.retraining["gen-dino"].views.stain) == (1, 0)


METHOD = {"bank": "default"}
NO_TASK = {"bank": "default", "disentangle_weight": 0}
SHUFFLED = {"bank": "default", "shuffle_bank": True}
BANK_ALONE = {"bank": "two", "real_images": False}
MIXED = {"bank": "default", "interpolation": "pixel"}
NO_VIEWS = {"bank": "default", "generative_probability": 0}


@pytest.mark.parametrize(
    ("arms", "main"),
    [
        ({}, None),
        ({"a": SHUFFLED, "b": NO_TASK, "c": BANK_ALONE, "d": MIXED, "e": NO_VIEWS, "z": METHOD}, "z"),
        ({"gen-dino": SHUFFLED, "ours": METHOD}, "ours"),  # found by keys, not by name
        ({"gen-dino": NO_TASK | {"bank": "no-pairs"}, "ours": METHOD}, "ours"),
        ({"second": METHOD, "first": METHOD | {"epochs": 3}}, "second"),  # the first of equals, in the user's order
        ({"z": SHUFFLED, "b": NO_VIEWS | {"disentangle_weight": 1}}, "b"),  # a control is never the main arm
        ({"longer": {"match_compute": "a"}, "a": SHUFFLED}, "longer"),
        ({"ramped": METHOD | {"generative_probability": {"start": 0, "end": 1}}, "a": NO_TASK}, "ramped"),
    ],
)
def test_the_main_arm_is_found_by_its_keys(arms, main):
    banks = {"default": {}, "two": {"variants": 2}, "no-pairs": {"alphas": []}}
    study = load_study(STUDY | {"banks": banks, "retraining": arms})
    assert study.main_arm == main
    stored = json.loads(json.dumps(study.resolved()))
    assert load_study(stored).main_arm == main


def test_stage_json_ignores_the_order_of_keys_and_the_spelling_of_numbers():
    one = load_study({**STUDY, "diffusion": {"steps": 5, "learning_rate": 1}, "pretraining": {"dataset": "tiles"}})
    two = load_study(
        {**STUDY, "pretraining": {"dataset": "tiles"}, "diffusion": {"learning_rate": "1.0", "steps": 5.0}}
    )
    assert stage_json(one, "diffusion") == stage_json(two, "diffusion")


def test_swapped_values_change_the_json_of_a_stage():
    one = load_study(changed("diffusion", {"steps": 10, "batch_size": 20}))
    two = load_study(changed("diffusion", {"steps": 20, "batch_size": 10}))
    assert stage_json(one, "diffusion") != stage_json(two, "diffusion")


@pytest.mark.parametrize(
    ("path", "value", "stages"),
    [
        ("banks/default/guidance", 3.0, {"banks/default"}),
        ("banks/default/guidance_interval", [0, 1], set()),
        ("banks/default/sampler", "dpm++", {"banks/default"}),
        ("banks/default/shards", 9, set()),
        ("banks/default/filter", {"minimum_fidelity": 0.4}, set()),
        ("banks/default/seed", 0, set()),
        ("runtime", {"image_cache_gb": 1}, set()),
        ("evaluation/knn", [3], {"evaluation"}),
        ("datasets/tiles/sheet", "moved.csv", set()),
        ("datasets/tiles/mpp", 1.0, {"datasets/tiles"}),
        ("datasets/tiles/quality", {"minimum": {"focus": 5}}, set()),
        ("datasets/tiles/max_failed_fraction", 0.2, set()),
        ("datasets/tiles/max_failed_slides", 0.2, set()),
        ("pretraining/epochs", 3, {"encoders/dino", "encoders/gen-dino"}),
        ("retraining/gen-dino/disentangle_weight", 0, {"encoders/gen-dino"}),
        ("embedding/units_per_part", 3, set()),
        ("encoders", {"mine": {"path": "there"}}, set()),
        ("retraining/gen-dino/init", "dino", {"encoders/gen-dino"}),
    ],
)
def test_a_changed_key_changes_only_the_json_of_its_stages(path, value, stages):
    names = ["datasets/tiles", "encoders/dino", "encoders/gen-dino", "embedding/dino", "autoencoder", "diffusion"]
    names += ["banks/default", "evaluation"]
    before, after = load_study(STUDY), load_study(changed(path, value))
    assert {name for name in names if stage_json(before, name) != stage_json(after, name)} == stages


@pytest.mark.parametrize(("section", "values"), [("runtime", {"tf32": False}), ("export", {"datasets": ["tiles"]})])
def test_sections_without_influence_on_results_do_not_rerun_the_report(section, values):
    before, after = load_study(STUDY), load_study(changed(section, values))
    assert before.resolved() != after.resolved()
    assert stage_json(before, "study") == stage_json(after, "study")


@pytest.mark.parametrize(
    ("dataset", "moved"),
    [
        ({"kind": "torchvision", "name": "CIFAR10"}, {"root": "/elsewhere"}),
        ({"kind": "files", "sheet": "a.csv"}, {"sheet": "b.csv", "columns": {"label": "class"}}),
        ({"kind": "folder", "path": "photos"}, {"max_failed_fraction": 0.5}),
    ],
)
def test_moving_a_source_reruns_no_import(dataset, moved):
    before, after = ({"run": "a", "datasets": {"d": dataset | more}} for more in ({}, moved))
    assert stage_json(load_study(before), "datasets/d") == stage_json(load_study(after), "datasets/d")


def test_a_study_without_pretraining_uses_all_data_sets_and_external_encoders():
    study = load_study({"run": "a", "datasets": STUDY["datasets"], "encoders": {"mine": {"path": "there"}}})
    assert study.pretraining is None
    assert study.used_datasets == ["tiles", "more"]
    assert stage_json(study, "encoders/mine") == '{"path":"there","timm":null}'


def test_a_bank_and_init_may_name_an_external_encoder():
    values = changed("encoders", {"mine": {"timm": "hf-hub:owner/model"}})
    values["pretraining"]["init"] = "mine"
    values["banks"]["default"] = {"encoder": "mine"}
    study = load_study(values, frozenset({"vit_small_patch16_224"}))
    assert study.retraining["gen-dino"].init == "mine"


@pytest.mark.parametrize("bank", [{}, {"encoder": None}, {"encoder": "dino"}])
def test_a_bank_without_an_encoder_is_conditioned_by_the_baseline(bank):
    study = load_study(changed("banks/default", bank))
    assert study.banks["default"].encoder == study.baseline == "dino"
    assert study.resolved()["banks"]["default"]["encoder"] == "dino"
    assert json.loads(stage_json(study, "banks/default"))["encoder"] == "dino"


def test_a_study_trains_its_baseline_and_its_arms():
    assert load_study(STUDY).trained_encoders == ("dino", "gen-dino")
    assert load_study({"run": "a", "datasets": STUDY["datasets"]}).trained_encoders == ()


def test_weight_files_of_a_folder_are_its_config_and_weights(tmp_path):
    with pytest.raises(UserError, match=r"has no encoder \(config.json and model.safetensors or"):
        weight_files(tmp_path)
    for name in ("pytorch_model.bin", "config.json"):
        (tmp_path / name).touch()
    assert weight_files(tmp_path) == [tmp_path / "config.json", tmp_path / "pytorch_model.bin"]
    assert weight_files(tmp_path / "config.json") == [tmp_path / "config.json"]


def test_a_folder_without_an_autoencoder_is_refused(tmp_path):
    for folder in ("trian", tmp_path):
        with pytest.raises(UserError, match=f"autoencoder: '{folder}' is not auto, none, train or a folder"):
            autoencoder_files(Path(folder))
    (tmp_path / "config.json").touch()
    with pytest.raises(UserError, match=r"or a folder with diffusion_pytorch_model\.safetensors"):
        autoencoder_files(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").touch()
    assert [file.name for file in autoencoder_files(tmp_path)] == ["config.json", "diffusion_pytorch_model.safetensors"]


def test_only_encoders_that_condition_a_bank_embed_mirrored_images():
    plain, flipping = load_study(STUDY), load_study(changed("diffusion/flips", True))
    for encoder in ("dino", "gen-dino"):
        assert "flips" not in stage_json(plain, f"embedding/{encoder}")
    assert json.loads(stage_json(flipping, "embedding/dino"))["flips"] is True
    assert stage_json(flipping, "embedding/gen-dino") == stage_json(plain, "embedding/gen-dino")


def test_a_neutral_added_field_is_left_out_of_the_canonical_json():
    class Before(Settings):
        steps: int = 5

    class After(Before):
        extra: float = added(neutral=0.0)

    assert canonical_json(After()) == canonical_json(Before())
    assert json.loads(canonical_json(After(extra=1.0))) == {"steps": 5, "extra": 1.0}


def test_an_autoencoder_is_trained_only_above_64_px():
    small = changed("pretraining/image_px", 64)
    assert load_study(small).autoencoder_mode == "none"
    assert load_study(STUDY).autoencoder_mode == "train"
    assert load_study({**STUDY, "autoencoder": "some/folder"}).autoencoder_mode == "some/folder"


def test_a_subset_of_settings_can_be_dumped_without_added_fields():
    class Later(Settings):
        old: int = 1
        extra: float | None = added(neutral=None)

    assert Later().model_dump(include={"old"}) == {"old": 1}


def arms(pretraining: dict, **retraining: dict):
    return load_study(STUDY | {"pretraining": {"dataset": "tiles"} | pretraining, "retraining": retraining})


@pytest.mark.parametrize(
    ("pretraining", "gen_dino", "epochs"),
    [
        # Two views: the teacher's 2 and 3 x 2 of the student, against 3 and 3 x 3.
        ({"epochs": 10, "views": {"local_crops": 0}}, {}, 15),
        ({"epochs": 7, "views": {"local_crops": 0}}, {}, 11),  # 10.5 rounded up: 10 epochs would be less compute
        # Four local views of a quarter of the pixels: 2 + 3 x 3, against 3 + 3 x 4.
        ({"epochs": 11, "views": {"local_crops": 4, "local_px": 112}}, {}, 15),
        ({"epochs": 10, "views": {"local_crops": 0}}, {"disentangle_probability": 0.5}, 13),
        ({"epochs": 10, "views": {"local_crops": 0}}, {"disentangle_targets": "both"}, 17),
        ({"epochs": 10, "views": {"local_crops": 0}}, {"disentangle_weight": 0}, 10),
        ({"epochs": 8, "views": {"local_crops": 0}}, {"disentangle_weight": 0, "generative_views": "add"}, 11),
        ({"epochs": 10, "views": {"local_crops": 0}}, {"epochs": 20}, 30),
    ],
)
def test_match_compute_sets_epochs_for_at_least_the_compute_of_the_other_arm(pretraining, gen_dino, epochs):
    study = arms(
        pretraining, **{"gen-dino": {"bank": "default"} | gen_dino, "dino-longer": {"match_compute": "gen-dino"}}
    )
    longer = study.retraining["dino-longer"]
    assert (longer.epochs, longer.bank) == (epochs, None)
    assert load_study(study.resolved()) == study


@pytest.mark.parametrize("keys", [{"epochs": 7}, {"views": {"solarize": 0}}, {"init": "dino"}, {"method": "simclr"}])
def test_an_arm_without_a_bank_may_override_any_key(keys):
    arm = arms({"views": {"local_crops": 0}}, plain=keys).retraining["plain"]
    assert arm.bank is None
    assert load_study(arms({"views": {"local_crops": 0}}, plain=keys).resolved()).retraining["plain"] == arm


@pytest.mark.parametrize("keys", [{}, {"epochs": 5}, {"disentangle_weight": 0}], ids=["none", "equal", "of-a-bank"])
def test_an_arm_without_a_bank_that_equals_the_baseline_is_refused(keys):
    with pytest.raises(UserError, match="is missing: without it this arm equals dino"):
        arms({"epochs": 5}, plain=keys)


def test_added_keys_leave_the_json_of_a_plain_arm_unchanged():
    settings = json.loads(stage_json(load_study(STUDY), "encoders/gen-dino"))
    added_later = {"match_compute", "real_images", "shuffle_bank", "disentangle_probability", "disentangle_targets"}
    assert not (added_later | {"interpolation", "generative_views"}) & settings.keys()
    assert settings["bank"] == "default"


def test_a_bank_is_made_for_each_seed_or_only_for_its_own_seed():
    values = changed("seeds", [3, 5])
    values["banks"]["shared"] = {"seed": 5}
    study = load_study(values)
    assert (study.bank_seeds("default"), study.bank_seeds("shared")) == ((3, 5), (5,))


def test_a_blank_section_of_the_method_leaves_the_recipe_of_a_preset():
    blank = load_study(changed("pretraining", {"dataset": "tiles", "preset": "paper", "dino": None}))
    assert blank == load_study(changed("pretraining", {"dataset": "tiles", "preset": "paper"}))


def test_images_of_any_size_are_accepted_where_none_are_generated():
    values = changed("pretraining/image_px", 518)
    with pytest.raises(UserError, match=r"diffusion\.image_px 518 cannot be halved"):
        load_study(values)
    without = {key: value for key, value in values.items() if key not in ("banks", "retraining")}
    assert load_study(without).pretraining.image_px == 518
    neighbours = {"near": {"kind": "neighbours"}}
    arms = {"nearest": {"bank": "near", "disentangle_weight": 0}}
    assert load_study(without | {"banks": neighbours, "retraining": arms}).banks["near"].kind == "neighbours"
