"""Dry runs on a finished run: the jobs that a change reruns."""

import os
import re
import shutil

import pytest
from tests.drawing import drawn_slide
from tests.workflow.clone import ROOT, planned, planned_first, write_config

AFTER_THE_BANK = {
    "retrain_encoder": 1,
    "embed_images": 2,
    "evaluate_encoder_on_slides": 1,
    "track_knn": 1,
    "summarize": 1,
    "store_config": 1,
    "write_report": 1,
}


MEASURES = {"evaluate_encoder_on_slides", "track_knn"}


def backwards(values):
    return {key: backwards(values[key]) for key in reversed(values)} if isinstance(values, dict) else values


def with_keys(section, **keys):
    """A change of a config that overrides keys of a section; `a.b` is a nested section."""

    def change(values):
        first, _, rest = section.partition(".")
        inner = values.get(first, {})
        return values | {first: with_keys(rest, **keys)(inner) if rest else inner | keys}

    return change


# A change for each row of the table of keys in docs/reruns.md.
CHANGES = {
    "`datasets.<name>`: how its slides are cut": with_keys("datasets.tissue", jpeg_quality=80),
    "`datasets.<name>.quality`": with_keys("datasets.tissue.quality", maximum={"pen_fraction": 0.1}),
    "`datasets.<name>.targets`": with_keys(
        "datasets.tissue", columns={"group": "case", "cohort": "case"}, targets={"cohort": "classification"}
    ),
    "`seeds`, one more": lambda values: values | {"seeds": [0, 1]},
    "`pretraining`": with_keys("pretraining", epochs=3),
    "`encoders`, one more": with_keys("encoders", theirs={"timm": "resnet18"}),
    "`embedding`": with_keys("embedding", precision="bfloat16"),
    "`autoencoder`, `autoencoder_training`": lambda values: (
        values | {"autoencoder": "train", "autoencoder_training": {"channels": [8, 16]}}
    ),
    "`diffusion`": with_keys("diffusion", steps=21),
    "`banks.<name>`": with_keys("banks.default", guidance=3.0),
    "`banks.<name>.filter`": with_keys("banks.default.filter", copying_ratio=0.3),
    "`retraining`, an arm changed or new": with_keys("retraining", other={"bank": "default", "disentangle_weight": 0}),
    "`evaluation`, a measure": with_keys("evaluation", knn=[5]),
    "`evaluation.bank_images`": with_keys("evaluation", bank_images=77),
    "`evaluation.judge`, a new encoder": lambda values: with_keys("evaluation", judge="theirs")(
        with_keys("encoders", theirs={"timm": "resnet18"})(values)
    ),
    "`evaluation.corruptions`": with_keys("evaluation", corruptions=["blur"]),
    "`evaluation.linear_sgd`": with_keys("evaluation", linear_sgd=True),
    "`runtime`, `export`": lambda values: with_keys("export", format="webdataset")(
        with_keys("runtime", image_cache_gb=1, inference_batch_size=3, checkpoint_seconds=1)(values)
    ),
    "keys in another order": backwards,
}


def documented() -> dict[str, str]:
    """The rules that docs/reruns.md lists as rerun first, by key."""
    table = (ROOT / "docs/reruns.md").read_text().split("| key |")[1].split("\n\n")[0]
    return dict(re.findall(r"^\| (.*) \| (.*) \|$", table, re.MULTILINE))


def test_all_documented_keys_are_tested():
    assert list(documented()) == list(CHANGES)


@pytest.mark.parametrize("key", CHANGES)
def test_a_changed_key_reruns_the_documented_rules(finished, tmp_path, key):
    rules = documented()[key]
    first = planned_first(finished.clone, write_config(tmp_path / "changed.yaml", CHANGES[key](finished.values)))
    made = {rule for rule, _ in first} - {"store_config"}
    measures = MEASURES if "the measures" in rules else set()
    assert made - measures == set(re.findall(r"`(\w+_\w+)`", rules))
    assert bool(made) == (rules != "nothing")


@pytest.fixture
def study(finished, tmp_path):
    """A function that dry-runs the finished study with some sections changed."""

    def plan(**sections):
        values = finished.values
        for name, change in sections.items():
            values[name] = change(values[name]) if callable(change) else change
        return planned(finished.clone, write_config(tmp_path / "changed.yaml", values))

    return plan


def test_a_finished_run_has_nothing_to_do(study):
    assert study() == {}


def test_a_target_is_evaluated_on_existing_embeddings(study):
    tissue = CHANGES["`datasets.<name>.targets`"]
    assert study(datasets=lambda datasets: tissue({"datasets": datasets})["datasets"]) == {
        "index_images": 1,
        "evaluate_encoder_on_slides": 4,
        "summarize": 1,
        "store_config": 1,
        "write_report": 1,
    }


def test_another_filter_threshold_generates_no_images(study):
    assert study(banks={"default": {"sampling_steps": 2, "filter": {"copying_ratio": 0.3}}}) == {
        "filter_bank": 1,
        "evaluate_bank": 1,
        **AFTER_THE_BANK,
    }


def test_swapping_two_values_of_a_stage_reruns_it(study):
    def swap(values):
        return values | {"steps": values["batch_size"], "batch_size": values["steps"]}

    assert study(diffusion=swap) == {
        "train_diffusion": 1,
        "generate_bank": 1,
        "filter_bank": 1,
        "evaluate_bank": 1,
        **AFTER_THE_BANK,
    }


def test_a_new_diffusion_recipe_reruns_its_training_and_later_rules(finished, study):
    path = finished.clone / "workflow/scripts/gensis/diffusion/__init__.py"
    before = path.read_text()
    assert "\nRECIPE = " in before
    try:
        path.write_text(before.replace("\nRECIPE = ", "\nRECIPE = 1 + "))
        jobs = study()
    finally:
        path.write_text(before)
    of_settings = {"store_config": 1}
    assert jobs | of_settings == {
        "train_diffusion": 1,
        "generate_bank": 1,
        "filter_bank": 1,
        "evaluate_bank": 1,
        **AFTER_THE_BANK,
    }


def test_a_quality_threshold_reruns_indexing_and_training_but_no_tiling(study):
    def stricter(datasets):
        return {"tissue": datasets["tissue"] | {"quality": {"minimum": {"focus": 5}, "maximum": {"pen_fraction": 0.1}}}}

    jobs = study(datasets=stricter)
    assert "tile_slide" not in jobs
    assert (jobs["index_images"], jobs["plot_slides"]) == (3, 1)
    assert {"pretrain_encoder", "train_diffusion", "generate_bank", "retrain_encoder"} <= set(jobs)
    assert jobs["embed_images"] == 4  # by the two encoders that are trained, not by `random` and `pixels`


def test_limits_of_failures_rerun_indexing_but_no_tiling(study):
    def fewer(**limits):
        return lambda datasets: {"tissue": datasets["tissue"] | limits}

    rules = study(datasets=fewer(max_failed_slides=0.4))
    assert rules == {"index_images": 1, "store_config": 1, "write_report": 1}
    jobs = study(datasets=fewer(max_failed_fraction=0.2))
    assert "tile_slide" not in jobs
    assert (jobs["index_images"], jobs["plot_slides"]) == (3, 1)


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"knn": [2]}, {"evaluate_encoder_on_slides": 4, "track_knn": 2, "summarize": 1}),
        ({"mil_epochs": 3}, {"evaluate_encoder_on_slides": 4, "summarize": 1}),
        ({"bank_images": 7}, {"evaluate_bank": 1}),
    ],
)
def test_an_evaluation_key_reruns_only_the_rules_it_affects(study, change, rules):
    expected = rules | {"store_config": 1, "write_report": 1}
    assert study(evaluation=lambda values: values | change) == expected


def test_touched_scripts_slides_and_sheets_rerun_nothing(finished):
    touched = [
        finished.clone / "workflow/scripts/pretrain_encoder.py",
        finished.clone / "workflow/scripts/gensis/ssl/pretrainer.py",
        finished.slides / "lymphoid-1.tiff",
        finished.slides / "slides.csv",
    ]
    for path in touched:
        os.utime(path)
    assert planned(finished.clone, finished.config) == {}


def test_a_moved_clone_reruns_nothing(finished):
    moved = finished.clone.with_name("moved")
    finished.clone.rename(moved)
    try:
        assert planned(moved, finished.config) == {}
    finally:
        moved.rename(finished.clone)


def test_lost_snakemake_metadata_rerun_nothing(finished):
    record, aside = finished.clone / ".snakemake", finished.clone / "aside"
    record.rename(aside)
    try:
        assert planned(finished.clone, finished.config) == {}
    finally:
        shutil.rmtree(record)
        aside.rename(record)


def add_slide(finished, name, line):
    drawn_slide(finished.slides / f"{name}.tiff", "lymphoid", 320, 320, seed=99)
    with open(finished.slides / "slides.csv", "a") as stream:
        stream.write(line + "\n")


def test_an_added_training_slide_is_tiled_and_reruns_everything_after(restored):
    add_slide(restored, "new", "new,new.tiff,lymphoid,p9,train")
    jobs = planned(restored.clone, restored.config)
    assert jobs["tile_slide"] == 1
    assert {"pretrain_encoder", "train_diffusion", "generate_bank", "retrain_encoder"} <= set(jobs)


def test_an_added_test_slide_is_tiled_embedded_and_evaluated(restored):
    add_slide(restored, "new", "new,new.tiff,lymphoid,p9,test")
    assert planned(restored.clone, restored.config) == {
        "tile_slide": 1,
        "index_images": 3,
        "plot_slides": 1,
        "embed_images": 4,
        "evaluate_encoder_on_slides": 4,
        "track_knn": 2,
        "evaluate_bank": 1,
        "summarize": 1,
        "write_report": 1,
    }


def test_a_corrected_label_reruns_only_evaluation_and_report(restored):
    sheet = restored.slides / "slides.csv"
    sheet.write_text(sheet.read_text().replace("lymphoid-3.tiff,lymphoid", "lymphoid-3.tiff,glandular"))
    assert planned(restored.clone, restored.config) == {
        "index_images": 1,
        "evaluate_encoder_on_slides": 4,
        "track_knn": 2,
        "evaluate_bank": 1,
        "summarize": 1,
        "write_report": 1,
    }


def test_a_removed_training_slide_tiles_no_other_slide(restored):
    sheet = restored.slides / "slides.csv"
    sheet.write_text("".join(line for line in sheet.read_text().splitlines(True) if "lymphoid-2" not in line))
    jobs = planned(restored.clone, restored.config)
    assert "tile_slide" not in jobs
    assert {"pretrain_encoder", "train_diffusion", "generate_bank", "retrain_encoder"} <= set(jobs)


def test_a_corrected_group_reruns_only_evaluation_and_report(restored):
    sheet = restored.slides / "slides.csv"
    sheet.write_text(sheet.read_text().replace("glandular,p4", "glandular,p3"))
    assert planned(restored.clone, restored.config) == {
        "index_images": 3,
        "plot_slides": 1,
        "evaluate_encoder_on_slides": 4,
        "track_knn": 2,
        "evaluate_bank": 1,
        "summarize": 1,
        "write_report": 1,
    }


def test_annotations_rerun_only_labels_evaluation_and_report(restored):
    drawn = restored.slides / "drawn.geojson"
    drawn.write_text('{"type": "Polygon", "coordinates": [[[0, 0], [99, 0], [99, 99]]]}')
    sheet = restored.slides / "slides.csv"
    header, *lines = sheet.read_text().splitlines()
    cells = ["drawn.geojson" if line.startswith("lymphoid-1,") else "" for line in lines]
    sheet.write_text("\n".join([f"{header},annotations", *map(",".join, zip(lines, cells))]) + "\n")
    try:
        assert planned(restored.clone, restored.config) == {
            "index_images": 1,
            "evaluate_encoder_on_slides": 4,
            "track_knn": 2,
            "evaluate_bank": 1,
            "summarize": 1,
            "write_report": 1,
        }
    finally:
        drawn.unlink()


def test_a_slide_of_another_size_is_tiled_again(restored):
    slide = restored.slides / "lymphoid-3.tiff"
    backup = shutil.copy2(slide, restored.slides / "slide-backup")
    try:
        with open(slide, "ab") as stream:
            stream.write(b"more")
        assert planned(restored.clone, restored.config)["tile_slide"] == 1
    finally:
        os.replace(backup, slide)


def test_a_corrected_mpp_tiles_only_that_slide_again(restored):
    sheet = restored.slides / "slides.csv"
    lines = sheet.read_text().splitlines()
    lines = [
        f"{line},{'mpp' if number == 0 else 0.6 if 'lymphoid-3' in line else ''}" for number, line in enumerate(lines)
    ]
    sheet.write_text("\n".join(lines) + "\n")
    assert planned(restored.clone, restored.config)["tile_slide"] == 1


@pytest.mark.parametrize("weight", [0, 0.5])
def test_the_autoencoder_needs_the_encoder_only_for_a_perceptual_term(finished, tmp_path, weight):
    training = {"channels": [8, 16], "perceptual_weight": weight}
    values = finished.values | {"run": "other", "autoencoder": "train", "autoencoder_training": training}
    target = "results/other/autoencoder/seed0/provenance.json"
    rules = planned(finished.clone, write_config(tmp_path / "other.yaml", values), target)
    assert rules == ({"pretrain_encoder": 1} if weight else {}) | {"train_autoencoder": 1}
