"""Verification of evaluations, and of `summary.csv`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from gensis.artifacts.tables import read_table
from gensis.settings import Study, stage_json
from gensis.settings.tasks import with_attention
from gensis.verification.files import check_hdf5, checked_json
from gensis.verification.findings import Findings
from gensis.verification.origins import Inputs, Origins

SUBJECT = ("encoder", "dataset", "seed", "task")
Subject = tuple[str, str, str, str]
_DECIMALS = 6


def check_evaluation(
    folder: Path,
    tasks: Sequence[str],
    *,
    study: Study,
    inputs: Inputs,
    findings: Findings,
    origins: Origins,
) -> dict[Subject, dict[str, Any] | None]:
    """Check the evaluation of one encoder on one data set.

    Args:
        folder: `<encoder>/<dataset>/seed<k>`.
        tasks: the tasks that were evaluated.
        study: the study with the settings of the evaluation.
        inputs: inputs that the evaluation must be made from.
        findings: problems are added to it.
        origins: compares the provenance.

    Returns:
        The result of each task; None if its file has a problem.
    """
    seed, evaluation = int(folder.name.removeprefix("seed")), study.evaluation
    results: dict[Subject, dict[str, Any] | None] = {}
    for task in tasks:
        read = evaluation.inputs_of_task(task, inputs)
        path, settings = folder / f"{task}.json", evaluation.of_task(task)
        results |= check_result(path, settings, inputs=read, findings=findings, origins=origins)
    settings = json.loads(stage_json(study, "evaluation"))
    names = ["predictions.h5", *(["attention.h5"] if with_attention(tasks) else [])]
    for path in (folder / name for name in names):
        with findings.reading(path), h5py.File(path, "r", locking=False) as file:
            origins.compare(path, check_hdf5(path, file, findings), settings=settings, seed=seed, inputs=inputs)
    return results


def check_result(
    path: Path, settings: Mapping[str, Any], *, inputs: Inputs, findings: Findings, origins: Origins
) -> dict[Subject, dict[str, Any] | None]:
    """Check the result of one task.

    Args:
        path: `<encoder>/<dataset or benchmark>/seed<k>/<task>.json`.
        settings: expected settings of the task.
        inputs: inputs that it must be made from.
        findings: problems are added to it.
        origins: compares the provenance.

    Returns:
        What the path states -> the result; None if its file has a problem.
    """
    encoder, dataset, folder = path.parts[-4:-1]
    seed, task = int(folder.removeprefix("seed")), path.stem
    if result := checked_json(path, findings):
        with findings.reading(path):
            origins.compare(path, result["provenance"], settings=settings, seed=seed, inputs=inputs)
            if [result[name] for name in SUBJECT] != [encoder, dataset, seed, task]:
                findings.add(path, "is for another encoder, data set, seed or task than its path states")
    return {(encoder, dataset, str(seed), task): None if path in findings else result}


def check_summary(path: Path, results: Mapping[Subject, dict[str, Any] | None], findings: Findings) -> None:
    """Check that `summary.csv` lists exactly the values of these results; results that are None are not compared."""
    with findings.reading(path):
        listed = {
            (*(row[name] for name in SUBJECT), row["metric"]): row["value"]
            for row in read_table(path, delimiter=",")
            if row["encoder"] != "chance"
        }
        unknown = {subject for subject, result in results.items() if result is None}
        listed = {key: text for key, text in listed.items() if key[:-1] not in unknown}
        measured = {
            (*subject, metric["metric"]): metric["value"]
            for subject, result in results.items()
            for metric in (result or {}).get("metrics", [])
        }
        for key in sorted(measured.keys() ^ listed.keys()):
            findings.add(path, f"{' '.join(key)} is {'missing' if key in measured else 'not in any evaluation'}")
        for key in sorted(measured.keys() & listed.keys()):
            if not _same(measured[key], listed[key]):
                findings.add(path, f"{' '.join(key)} is {measured[key]} in the evaluation and {listed[key]} here")


def _same(value: float | None, text: str) -> bool:
    return text == ("" if value is None else str(round(value, _DECIMALS)))
