"""Finds other runs whose images a run would replace: `results/images/<dataset>` is shared by all runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gensis.errors import UserError
from gensis.settings.base import EVERY_DEFAULT
from gensis.settings.datasets import Dataset
from gensis.settings.stages import ABOUT_THE_SOURCE
from gensis.settings.study import Study

SELECTION = frozenset({"sheet", "root", "folder", "quality"})
"""Keys whose change replaces only the tables of a data set, which list its images."""


def refuse_replaced_images(study: Study, results: Path) -> list[str]:
    """Check that no other run has used a data set of the same name with other settings.

    Args:
        study: the study that is about to run.
        results: the folder of all runs; each has its settings in `config.yaml`.

    Returns:
        A line for each data set that another run lists from another sheet, or with other thresholds. Its images can be
        used by both, but its tables are those of the run that wrote last.

    Raises:
        UserError: images of another run would be made again with other settings.
    """
    lines = []
    for path, values in _other_runs(study.run, results):
        for name in sorted({*study.used_datasets} & _used_datasets(values)):
            changed = _changed(study.datasets[name], values["datasets"][name])
            if replaced := [change for key, change in changed.items() if key not in ABOUT_THE_SOURCE]:
                raise UserError(
                    f"datasets.{name}: {results}/images/{name} has images of the run {values['run']}, made with other "
                    f"settings ({'; '.join(replaced)}): give this data set another name, or, to give up the images of "
                    f"that run, remove {path}"
                )
            if selected := [change for key, change in changed.items() if key in SELECTION]:
                lines.append(
                    f"datasets.{name}: the run {values['run']} uses this data set with another selection "
                    f"({'; '.join(selected)}): when it is started next, it repeats what depends on it. Give this data "
                    "set another name to keep both"
                )
    return lines


def _other_runs(run: str, results: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Path and values of the settings of all other runs; files that are no settings of a run are skipped."""
    for path in sorted(results.glob("*/config.yaml")):
        try:
            values = yaml.load(path.read_bytes(), yaml.CSafeLoader)
        except (OSError, yaml.YAMLError):
            continue
        is_study = isinstance(values, dict) and {"run", "datasets", "pretraining", "evaluation"} <= values.keys()
        if is_study and values["run"] != run:
            yield path, values


def _used_datasets(values: dict[str, Any]) -> set[str]:
    """Names of the data sets that a run with these settings makes, as in `Study.used_datasets`."""
    if not values["pretraining"]:
        return set(values["datasets"])
    return {values["pretraining"]["dataset"], *values["evaluation"]["datasets"]}


def _changed(dataset: Dataset, other: dict[str, Any]) -> dict[str, str]:
    """Keys with other values -> both values, in words. Keys that only one of the two versions knows are left out."""
    values = dataset.model_dump(mode="json", context=EVERY_DEFAULT)
    changed = [key for key, value in values.items() if other.get(key, value) != value]
    return {key: f"{key} {_as_json(other[key])}, here {_as_json(values[key])}" for key in changed}


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
