"""The stages of a study, and the settings that the results of each depend on."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from gensis.settings.bank import OF_GENERATION
from gensis.settings.base import canonical_json
from gensis.settings.datasets import Dataset
from gensis.settings.roles import UNTRAINED
from gensis.settings.study import Study

# Keys that the images in a store do not depend on: place of the source, selection of images, and failure limits.
# The sheet's line of an image is a separate input.
ABOUT_THE_SOURCE = frozenset(
    {"sheet", "columns", "folder", "targets", "root", "drawn_on", "quality", "max_failed_fraction", "max_failed_slides"}
)
WITHOUT_RESULTS = ("runtime", "export")
"""Sections of the config that change no result of a run."""
BACKBONE = ("dataset", "backbone", "backbone_args", "image_px")


def images_json(dataset: Dataset) -> str:
    """Canonical JSON of the settings that the stores of a data set depend on; for slides those of `Tiling`."""
    return canonical_json(dataset, without=ABOUT_THE_SOURCE | ({"kind"} if dataset.kind == "slides" else set()))


def _quality(study: Study, dataset: str) -> tuple[str, str]:
    return f"datasets.{dataset}.quality", canonical_json(study.datasets[dataset].quality)


def _encoder(study: Study, name: str) -> tuple[str, str]:
    if name in study.encoders:
        return f"encoders.{name}", canonical_json(study.encoders[name])
    section = f"retraining.{name}" if name in study.retraining else "pretraining"
    return section, canonical_json(study.training_settings(name))


def _embedding(study: Study, encoder: str) -> tuple[str, str]:
    flips = {"flips": True} if study.diffusion.flips and study.conditions_diffusion(encoder) else {}
    return "embedding", canonical_json(study.embedding, without=frozenset({"units_per_part"}), **flips)


def _bank(study: Study, name: str) -> tuple[str, str]:
    bank = study.banks[name]
    without = {"shards", "seed", "filter", *(() if bank.is_generated else OF_GENERATION)}
    return f"banks.{name}", canonical_json(bank, without=frozenset(without))


def _filter(study: Study, bank: str) -> tuple[str, str]:
    return f"banks.{bank}.filter", canonical_json(study.banks[bank].filter)


def _autoencoder(study: Study, _: str) -> tuple[str, str]:
    return "autoencoder_training", canonical_json(study.autoencoder_training, image_px=study.autoencoder_px)


def _diffusion(study: Study, _: str) -> tuple[str, str]:
    return "diffusion", canonical_json(study.diffusion, image_px=study.diffusion_px)


def _pretraining(*keys: str) -> Callable[[Study, str], tuple[str, str]]:
    return lambda study, _: ("pretraining", canonical_json(study.pretraining, only=frozenset(keys)))


def _evaluation(*keys: str) -> Callable[[Study, str], tuple[str, str]]:
    return lambda study, _: ("evaluation", canonical_json(study.evaluation, only=frozenset(keys)))


def _evaluation_of_encoders(study: Study, _: str) -> tuple[str, str]:
    return "evaluation", canonical_json(
        study.evaluation, without=frozenset({"datasets", "transfer", "benchmarks", "bank_images", "judge"})
    )


def _benchmark(study: Study, name: str) -> tuple[str, str]:
    evaluation = study.evaluation
    return f"evaluation.benchmarks.{name}", canonical_json(evaluation.benchmarks[name], bootstrap=evaluation.bootstrap)


def _study(study: Study, _: str) -> tuple[str, str]:
    values = {name: value for name, value in study.resolved().items() if name not in WITHOUT_RESULTS}
    order = {"arms": list(study.retraining)} if study.pretraining else {"compared": list(study.encoders)}
    return "", json.dumps(values | order, sort_keys=True)


# Stage -> function of the study and the stage's name, if it has one: the section of the config, and canonical JSON of
# the settings.
STAGES: dict[str, Callable[[Study, str], tuple[str, str]]] = {
    "datasets": lambda study, name: (f"datasets.{name}", images_json(study.datasets[name])),
    "quality": _quality,
    "encoders": _encoder,
    "embedding": _embedding,
    "autoencoder": _autoencoder,
    "diffusion": _diffusion,
    "banks": _bank,
    "filters": _filter,
    "evaluation": _evaluation_of_encoders,
    "benchmarks": _benchmark,
    "knn_history": _evaluation("knn", "knn_temperature"),
    "bank_quality": _evaluation("bank_images", "bootstrap", "judge"),
    "untrained": _pretraining(*BACKBONE),  # the untrained backbone of the baseline `random`
    "first_view": _pretraining(*BACKBONE, "views"),  # ordinary views, and the untrained backbone
    "study": _study,  # everything but WITHOUT_RESULTS, and the order of encoders, for config.yaml and the report
}


def stages(study: Study) -> list[str]:
    """All stages that a study can have: those of `STAGES`, with `/<name>` if there can be several of one kind."""
    encoders = [*study.trained_encoders, *study.encoders]
    names = {
        "datasets": study.used_datasets,
        "quality": [name for name in study.used_datasets if study.datasets[name].kind == "slides"],
        "encoders": encoders,
        "embedding": [*encoders, *UNTRAINED],
        "banks": study.banks,
        "benchmarks": study.evaluation.benchmarks,
        "filters": [name for name, bank in study.banks.items() if bank.filter],
    }
    single = [stage for stage in STAGES if stage not in names] if study.pretraining else ["evaluation", "study"]
    return [*single, *(f"{stage}/{name}" for stage, each in names.items() for name in each)]


def _section_and_json(study: Study, stage: str) -> tuple[str, str]:
    kind, _, name = stage.partition("/")
    return STAGES[kind](study, name)


def stage_json(study: Study, stage: str) -> str:
    """Canonical JSON of all settings that a stage's results depend on.

    Args:
        study: a validated study.
        stage: one of `stages`, such as ``diffusion`` or ``banks/<name>``.
    """
    return _section_and_json(study, stage)[1]


def stage_lines(study: Study, stage: str) -> list[str]:
    """The same settings as lines with the keys of the config: ``banks.default.guidance: 2.0``."""
    section, text = _section_and_json(study, stage)
    return [f"{key}: {json.dumps(value)}" for key, value in _leaves(section, json.loads(text))]


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Keys, joined by points, and their values."""
    if not isinstance(value, dict) or not value:
        yield key, value
        return
    for name, inner in value.items():
        yield from _leaves(f"{key}.{name}" if key else name, inner)
