import json

import pytest

from gensis.settings import load_study, stage_json
from gensis.settings.datasets import SlidesDataset, Tiling
from gensis.settings.stages import ABOUT_THE_SOURCE, STAGES, stage_lines, stages

STUDY = {
    "run": "a",
    "datasets": {"tiles": {"kind": "slides", "sheet": "s.csv"}, "photos": {"kind": "folder", "path": "p"}},
    "pretraining": {"dataset": "tiles", "views": {"rotate": True}},
    "encoders": {"mine": {"timm": "resnet18"}},
    "diffusion": {"flips": True},
    "banks": {"default": {"filter": {"minimum_fidelity": 0.5}}, "plain": {}},
    "retraining": {"gen-dino": {"bank": "default"}},
    "evaluation": {"datasets": ["photos"], "benchmarks": {"copies": {"task": "copy-detection", "path": "copydays"}}},
}
# Keys whose values are not as in the config: they are resolved, or belong to another section.
DERIVED = {"diffusion.image_px", "autoencoder_training.image_px", "embedding.flips", "arms"}
DERIVED |= {"evaluation.benchmarks.copies.bootstrap"}


@pytest.fixture(scope="module")
def study():
    return load_study(STUDY)


def value_at(values, key):
    """The value of a key such as `banks.default.guidance`."""
    for name in key.split("."):
        values = values[name]
    return values


def test_lines_name_keys_and_values_of_the_config(study):
    values = study.resolved()
    lines = dict(line.split(": ", 1) for stage in stages(study) for line in stage_lines(study, stage))
    found = {key: json.loads(value) for key, value in lines.items() if key not in DERIVED}
    assert found == {key: value_at(values, key) for key in found}
    assert {"datasets.tiles.tissue.mpp", "pretraining.views.rotate", "banks.default.filter.minimum_fidelity"} <= set(
        found
    )
    assert {"retraining.gen-dino.epochs", "encoders.mine.timm", "datasets.photos.path", "evaluation.knn"} <= set(found)


@pytest.mark.parametrize("stage", ["banks/default", "encoders/dino", "encoders/gen-dino", "datasets/tiles"])
def test_there_is_one_line_for_each_value_of_the_json(study, stage):
    def count(value):
        return sum(map(count, value.values())) if isinstance(value, dict) and value else 1

    assert len(set(stage_lines(study, stage))) == count(json.loads(stage_json(study, stage)))


def test_all_kinds_of_stages_are_listed_and_have_settings(study):
    assert {stage.partition("/")[0] for stage in stages(study)} == set(STAGES)
    assert all(stage_lines(study, stage) for stage in stages(study))
    assert "filters/plain" not in stages(study)


def test_a_study_that_trains_nothing_has_stages_too():
    untrained = load_study({key: STUDY[key] for key in ("run", "datasets", "encoders", "evaluation")})
    assert {"evaluation", "study", "encoders/mine", "embedding/pixels"} <= set(stages(untrained))
    assert all(stage_lines(untrained, stage) for stage in stages(untrained))


def test_the_settings_of_a_store_of_tiles_are_those_that_the_job_reads():
    given = set(SlidesDataset.model_fields) - ABOUT_THE_SOURCE - {"kind"}
    assert given == set(Tiling.model_fields)
