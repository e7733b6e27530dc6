"""Every config key is part of the canonical JSON of its stage, or is on a list with the reason why not."""

import json
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from typing import Any

import pytest

from gensis.errors import UserError
from gensis.settings import Study, load_study, stage_json
from gensis.settings.base import Settings
from gensis.settings.methods import METHODS

# Uses every settings model, and no default that would hide another key.
STUDY = {
    "run": "study",
    "datasets": {
        "tiles": {"kind": "slides", "sheet": "slides.csv", "targets": {"os": {"survival": {"event": "dead"}}}},
        "listed": {"kind": "files", "sheet": "files.csv"},
        "tree": {"kind": "folder", "path": "photos"},
        "known": {"kind": "torchvision", "name": "CIFAR10"},
        "packed": {"kind": "hdf5", "path": "images.h5"},
        "patches": {"kind": "pcam", "path": "pcam"},
    },
    "pretraining": {
        "dataset": "tiles",
        "init": "mine",
        "continued": {"frozen_blocks": 4, "layer_decay": 0.6, "lora": {"rank": 4, "alpha": 9}, "head_epochs": 2},
    },
    "encoders": {
        "mine": {"timm": "vit_small_patch16_224.dino", "path": "weights.pth"},
        "elsewhere": {"path": "folder"},
    },
    "banks": {
        "default": {"variants": 2, "filter": {"minimum_fidelity": 0.4, "copying_ratio": 0.1}},
        "drawn": {"alphas": {"uniform": [0.2, 0.8]}, "toward_neighbour": {"share": 0.4, "neighbours": 4}},
        "unused": {},
    },
    "evaluation": {
        "datasets": ["tiles", "listed"],
        "transfer": [{"fit": "tiles", "test": ["listed"]}],
        "benchmarks": {
            "copies": {"task": "copy-detection", "path": "copydays"},
            "landmarks": {"task": "retrieval-landmarks", "path": "roxford5k"},
            "videos": {"task": "video-segmentation", "path": "DAVIS"},
            "places": {"task": "segmentation", "path": "glands", "classes": ["stroma", "gland"]},
        },
    },
    "retraining": {
        "gen-dino": {"bank": "default"},
        "ramped": {"bank": "drawn", "generative_probability": {"start": 0.2, "end": 0.9}},
        "longer": {"match_compute": "gen-dino"},
        "contrastive": {"bank": "default", "method": "simclr", "gradient_accumulation": 1},
        "momentum": {"bank": "default", "method": "mocov3", "gradient_accumulation": 1},
    },
    "export": {"banks": ["unused"]},
}
REACH_NO_STAGE = {
    "run": "names the folder of the results",
    "seeds": "a wildcard of every job",
    "pretraining.method": "names the encoder of pre-training, so that another method makes another encoder",
    "runtime.*": "changes speed and memory, and results by rounding alone",
    "datasets.*.sheet": "the content of its lines is an input",
    "datasets.*.columns": "the content of its lines is an input",
    "datasets.*.folder": "the paths of its lines are an input",
    "datasets.*.targets.*": "the content of its lines is an input, and decides which evaluations are made",
    "datasets.*.root": "folder of a download",
    "datasets.*.drawn_on": "an argument of the jobs of slides with a mask, and a param of the table of labels",
    "datasets.*.quality.*": "selects tiles of a store; a param of the tables",
    "datasets.*.max_failed_*": "checked when images are indexed; a param of the tables",
    "embedding.units_per_part": "divides embeddings into files",
    "autoencoder": "decides which autoencoder is an input",
    "banks.*.seed": "decides which banks are made",
    "banks.*.shards": "divides a bank into files",
    "evaluation.datasets": "decides which evaluations are made",
    "evaluation.transfer": "decides which evaluations are made",
    "export.*": "decides which images are written as files",
}
CANNOT_CHANGE = {
    **{f"*.{name}": "the section of another method" for name in METHODS},
    "datasets.*.kind": "decides which other keys exist",
    "evaluation.benchmarks.*.task": "decides which other keys exist",
    "retraining.*.dataset": "must be that of pretraining",
    "retraining.longer.epochs": "follows from match_compute",
}
NUMBERS = (1, 2, 3, 0, 0.3, 0.7, 5, 16, 64, 128, 320)
NAMES = ("ramped", "known", "mine", "dino", "drawn", "longer", "gen-dino", "elsewhere", "CIFAR100", "cosine")
LISTS = (
    [0.1, 0.2],
    [0.2, 0.3, 0.4],
    [3],
    [0.3],
    ["blur"],
    ["abmil"],
    ["tiles"],
    ["default"],
    ["a", "b"],
    [8, 16],
    [],
    ["listed", "tiles"],
)
MAPPINGS = (
    {"copying_ratio": 0.3},
    {"share": 0.3},
    {"focus": 0.1},
    {"train": 7},
    {"train": [3, 9]},
    {"train": "train"},
    {"label": "class"},
    {"depth": 2},
)


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Path of keys to each value of a study that is not a section."""
    for name in type(values).model_fields if isinstance(values, Settings) else values:
        value = getattr(values, name) if isinstance(values, Settings) else values[name]
        of_settings = isinstance(value, dict) and value and all(isinstance(each, Settings) for each in value.values())
        yield from leaves(value, (*path, name)) if isinstance(value, Settings) or of_settings else [(*path, name)]


def models(values: Any) -> set[type]:
    """Settings models that a study uses."""
    found = {type(values)} if isinstance(values, Settings) else set()
    inner = (
        vars(values).values()
        if isinstance(values, Settings)
        else values.values()
        if isinstance(values, dict)
        else values
        if isinstance(values, tuple)
        else ()
    )
    return found.union(*(models(value) for value in inner))


def at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def with_value(values: dict, path: tuple[str, ...], value: Any) -> dict:
    key, *rest = path
    return values | {key: with_value(values.get(key, {}), tuple(rest), value) if rest else value}


def literals(path: tuple[str, ...]) -> list[str]:
    """Words that a key accepts, read from the error message for a wrong word."""
    try:
        load_study(with_value(STUDY, path, "no such word"))
    except UserError as error:
        return str(error).split("'")[1::2]
    return []


def changed(path: tuple[str, ...]) -> tuple[Study, Any] | None:
    """A study in which a key has a value other than its default, and that value; None if no value was found."""
    before = at(BASE, path)
    for value in (True, False, *NUMBERS, *literals(path), *NAMES, *LISTS, *MAPPINGS, None):
        try:
            study = load_study(with_value(STUDY, path, value))
        except UserError:
            continue
        if (after := at(study.resolved(), path)) != before:
            return study, after
    return None


def stages_of(path: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]]:
    """The stages that a key belongs to, and its path in their JSON."""
    section, *rest = path
    if section in ("datasets", "encoders"):
        return [f"{section}/{rest[0]}"], tuple(rest[1:])
    if section == "banks":
        is_filter = rest[1] == "filter"
        return [f"{'filters' if is_filter else 'banks'}/{rest[0]}"], tuple(rest[2 if is_filter else 1 :])
    if rest[:1] == ["benchmarks"]:
        return [f"benchmarks/{rest[1]}"], tuple(rest[2:])
    if section == "retraining":
        return [f"encoders/{rest[0]}"], tuple(rest[1:])
    stages = {
        "pretraining": ["encoders/dino"],
        "embedding": ["embedding/dino"],
        "autoencoder_training": ["autoencoder"],
        "diffusion": ["diffusion"],
        "evaluation": ["evaluation", "bank_quality"],
    }
    return stages.get(section, []), tuple(rest)


def pattern(path: tuple[str, ...]) -> str:
    """A key with a wildcard for the name of an arm or bank."""
    section, *rest = path
    return ".".join([section, *(["*", *rest[1:]] if section in ("retraining", "banks") else rest)])


def matches(key: str, patterns: dict[str, str]) -> bool:
    return any(fnmatch(key, each) for each in patterns)


BASE = load_study(STUDY).resolved()
PATHS = [path for path in leaves(load_study(STUDY)) if not matches(".".join(path), CANNOT_CHANGE)]


@pytest.mark.parametrize("key", list(dict.fromkeys(map(pattern, PATHS))))
def test_a_key_is_part_of_the_json_of_its_stage(key):
    tried = ((path, changed(path)) for path in PATHS if pattern(path) == key)
    path, found = next(((path, found) for path, found in tried if found), (None, None))
    assert found, f"no value of {key} other than the default was found: add one to the lists above"
    study, value = found
    stages, inner = stages_of(path)
    assert (value in values_at(study, stages, inner)) is not matches(key, REACH_NO_STAGE)


def values_at(study: Study, stages: list[str], inner: tuple[str, ...]) -> Iterator[Any]:
    """The values at a path of the stages' JSON."""
    for stage in stages:
        with suppress(KeyError):
            yield at(json.loads(stage_json(study, stage)), inner)


def test_the_study_of_this_test_uses_every_settings_model():
    known = {model for model in subclasses(Settings) if model.__module__.startswith("gensis")}
    inherited_from = {base for model in known for base in model.__mro__[1:]}
    assert known - inherited_from <= models(load_study(STUDY))


def subclasses(model: type) -> set[type]:
    return {model}.union(*map(subclasses, model.__subclasses__()))


def test_the_lists_of_exceptions_name_existing_keys():
    names = [".".join(path) for path in leaves(load_study(STUDY))]
    for each in (*REACH_NO_STAGE, *CANNOT_CHANGE):
        assert any(fnmatch(name, each) for name in names), each
