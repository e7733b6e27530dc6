"""Finds other runs whose images a run would replace: `results/images/<dataset>` is shared by all runs."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pydantic
import yaml

from gensis.errors import UserError
from gensis.settings.base import EVERY_DEFAULT
from gensis.settings.datasets import Dataset
from gensis.settings.stages import ABOUT_THE_SOURCE
from gensis.settings.study import Study

SELECTION = frozenset({"sheet", "columns", "root", "folder", "drawn_on", "targets", "quality", "max_failed_fraction"})
"""Keys whose change may replace only the tables of a data set, which list its images."""
_OF_IMAGES = {"files": {"sheet", "folder"}}
"""Kind of data set -> keys about its source on which the images in its stores depend all the same."""
_COLUMNS_OF_IMAGES = {"slides": {"slide", "path", "mpp", "mask"}, "files": {"path", "split"}}
"""The same of columns of its sheet."""


def refuse_replaced_images(study: Study, results: Path, with_masks: Collection[str] = ()) -> list[str]:
    """Check that no other run has used a data set of the same name with other settings.

    Args:
        study: the study that is about to run.
        results: the folder of all runs; each has its settings in `config.yaml`.
        with_masks: its data sets of slides that have masks.

    Returns:
        A line for each data set that another run lists from another sheet, or with other thresholds. Its images can be
        used by both, but its tables are those of the run that wrote last.

    Raises:
        UserError: images of another run would be made again with other settings.
    """
    lines = []
    for path, other in _other_runs(study.run, results):
        for name in sorted({*study.used_datasets} & other.used_datasets):
            dataset, theirs = study.datasets[name], other.datasets[name]
            changed = _changed(dataset, theirs)
            if replaced := [
                change for key, change in changed.items() if _is_of_images(key, dataset, theirs, name in with_masks)
            ]:
                raise UserError(
                    f"datasets.{name}: {results}/images/{name} has images of the run {other.run}, made with other "
                    f"settings ({'; '.join(replaced)}): give this data set another name, or, to give up the images of "
                    f"that run, remove {path}"
                )
            if selected := [change for key, change in changed.items() if key in SELECTION]:
                lines.append(
                    f"datasets.{name}: the run {other.run} uses this data set with another selection "
                    f"({'; '.join(selected)}): when it is started next, it repeats what depends on it, and exports "
                    "keep only the images of the last. Give this data set another name to keep both"
                )
    return lines


class _Pretraining(pydantic.BaseModel):
    dataset: str


class _Evaluation(pydantic.BaseModel):
    datasets: set[str]


class _OtherRun(pydantic.BaseModel):
    """What `config.yaml` says of a run's images; other versions may know other keys elsewhere."""

    run: str
    datasets: dict[str, dict[str, Any]]
    pretraining: _Pretraining | None
    evaluation: _Evaluation

    @property
    def used_datasets(self) -> set[str]:
        """Names of the data sets that this run makes, as in `Study.used_datasets`."""
        used = {self.pretraining.dataset, *self.evaluation.datasets} if self.pretraining else self.datasets.keys()
        return used & self.datasets.keys()


def _other_runs(run: str, results: Path) -> Iterator[tuple[Path, _OtherRun]]:
    """Path and settings of all other runs; files that are no settings of a run are skipped."""
    for path in sorted(results.glob("*/config.yaml")):
        try:
            other = _OtherRun.model_validate(yaml.load(path.read_bytes(), yaml.CSafeLoader))
        except (OSError, yaml.YAMLError, pydantic.ValidationError):
            continue
        if other.run != run:
            yield path, other


def _changed(dataset: Dataset, other: dict[str, Any]) -> dict[str, str]:
    """Keys with other values -> both values, in words. Keys that only one of the two versions knows are left out."""
    values = dataset.model_dump(mode="json", context=EVERY_DEFAULT)
    changed = [key for key, value in values.items() if other.get(key, value) != value]
    return {key: f"{key} {_as_json(other[key])}, here {_as_json(values[key])}" for key in changed}


def _is_of_images(key: str, dataset: Dataset, other: dict[str, Any], has_masks: bool) -> bool:
    """Whether another value of a key gives other images, rather than another selection of the same ones."""
    if key == "columns" and isinstance(theirs := other["columns"], dict):
        wanted = _COLUMNS_OF_IMAGES.get(dataset.kind, ())
        return any(dataset.columns.get(name, name) != theirs.get(name, name) for name in wanted)
    if key == "drawn_on":
        return has_masks
    return key not in ABOUT_THE_SOURCE or key in _OF_IMAGES.get(dataset.kind, ())


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
