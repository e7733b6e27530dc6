"""Evaluate the frozen embeddings of an encoder on a data set.

With the arguments `--fit-...`, classifiers are fitted on another data set, and tested on this one.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import gensis
from gensis import command
from gensis.artifacts.files import content_id, read_json, write_json
from gensis.artifacts.provenance import provenance, to_attribute
from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.evaluation.data import Corrupted
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled, label_images, lines_about
from gensis.evaluation.measure import measure
from gensis.evaluation.measured import Measured
from gensis.evaluation.predictions import ATTENTION_FORMAT, has_task, write_attention, write_predictions
from gensis.evaluation.predictions import FORMAT as PREDICTIONS_FORMAT
from gensis.evaluation.transfer import transferred
from gensis.images.embeddings import Embeddings, external_weights, parts_content, read_embeddings
from gensis.settings.evaluation import Evaluation
from gensis.settings.tasks import find_task, with_attention
from gensis.settings.transfer import results_name
from gensis.training.device import choose_device, device_name

FORMAT = "gensis-evaluation/1"
PREDICTIONS, ATTENTION = "predictions.h5", "attention.h5"
SAME_RESULT = ("format", "settings", "inputs", "external_weights", "seed", "code", "python", "packages")
"""Fields of the provenance that a result depends on."""
log = logging.getLogger("evaluate_encoder")


def main(arguments: argparse.Namespace) -> None:
    """Write one JSON per task, predictions.h5, and attention.h5 for tasks with attention.

    The JSON of a task that cannot be measured has the reason. A task is not measured again if there is a result with
    the same settings, inputs and code.
    """
    settings = Evaluation.model_validate(arguments.config)
    device = choose_device(arguments.gpus, arguments.threads)
    embeddings = read_embeddings(arguments.embeddings)
    inputs, origin = inputs_of(arguments), origin_of(arguments, device)
    dataset = results_name(arguments.fit, arguments.dataset) if arguments.fit else arguments.dataset
    subject = {"encoder": arguments.encoder, "dataset": dataset, "seed": arguments.seed}
    further_inputs = {
        "corrupted": corrupted_images(arguments.corrupted, embeddings),
        "last_blocks": partial(blocks_of_images, arguments.last_blocks, embeddings),
    }
    results: dict[str, dict[str, Any]] = {}
    found: dict[str, Measured] = {}
    for task, labelled in labelled_for_tasks(arguments, embeddings):
        record = origin(FORMAT, settings.of_task(task), settings.inputs_of_task(task, inputs))
        if earlier := measured_before(arguments.output, task, record):
            log.info("%s: reusing the result with the same settings, inputs and code", task)
            seen = {} if "skipped" in earlier else {"transductive": saw_tested(arguments, labelled)}
            results[task] = earlier | seen
            continue
        try:
            with threadpool_limits(arguments.threads):
                found[task] = measure(task, labelled, settings, seed=arguments.seed, device=device, **further_inputs)
            result = found[task].result | {"transductive": saw_tested(arguments, labelled)}
        except Unmeasurable as reason:
            result = {"skipped": str(reason)}
        if arguments.fit:
            result |= {"left_out_classes": list(labelled.left_out_classes)}
        log_result(task, result)
        results[task] = {"format": FORMAT, **subject, "task": task, **result, "provenance": record}
    of_files = partial(origin, settings=arguments.config, inputs=inputs)
    publish(arguments.output, results, found, coords=embeddings.keys, origin=of_files)
    remove_others(arguments.output, arguments.tasks)


def origin_of(arguments: argparse.Namespace, device: torch.device) -> Callable[..., dict[str, Any]]:
    """Function of a format, settings and inputs that gives the provenance of a file, with the code that made it."""
    code = code_id()
    fixed = {
        "seed": arguments.seed,
        "device": device_name(device),
        "started": arguments.started,
        "external_weights": external_weights(arguments.embeddings),
    }

    def origin(format: str, settings: dict[str, Any], inputs: dict[str, str]) -> dict[str, Any]:
        return provenance(format, settings=settings, inputs=inputs, **fixed) | {"code": code}

    return origin


def publish(
    folder: Path,
    results: Mapping[str, dict[str, Any]],
    found: Mapping[str, Measured],
    *,
    coords: np.ndarray,
    origin: Callable[[str], dict[str, Any]],
) -> None:
    """Write the files of an evaluation.

    The JSONs are written last: if the job is killed, each JSON that exists has its predictions.

    Args:
        folder: of the results.
        results: JSON of each task.
        found: what was measured now; predictions of other tasks that were measured earlier are kept.
        coords: keys of the embedded images.
        origin: function of a format that gives the provenance of a file.
    """
    kept = [task for task, result in results.items() if task not in found and "skipped" not in result]
    predictions = {task: measured.predictions for task, measured in found.items()}
    attributes = {"provenance": to_attribute(origin(PREDICTIONS_FORMAT))}
    write_predictions(folder / PREDICTIONS, predictions, attributes, kept)
    if attending := with_attention(results):
        attention = {task: found[task].attention for task in sorted(attending & set(found))}
        attributes = {"provenance": to_attribute(origin(ATTENTION_FORMAT))}
        kept = [task for task in kept if task in attending]
        write_attention(folder / ATTENTION, attention, coords=coords, attributes=attributes, kept=kept)
    for task, result in results.items():
        write_json(folder / f"{task}.json", result)


def inputs_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Content ids of the inputs."""
    named = [name for name in ("units", "labels", "targets", "fit_units", "fit_labels") if getattr(arguments, name)]
    tables = {name: content_id(getattr(arguments, name)) for name in named}
    names = ("embeddings", "corrupted", "last_blocks", "fit_embeddings")
    parts = {name: getattr(arguments, name) for name in names}
    return tables | {name: parts_content(paths) for name, paths in parts.items() if paths}


def code_id() -> str:
    """Content id of the evaluation code."""
    return content_id(*sorted(Path(gensis.__file__).parent.rglob("*.py")), Path(__file__))


def measured_before(folder: Path, task: str, record: dict[str, Any]) -> dict[str, Any] | None:
    """An existing result of a task with the same provenance as ``record``; None if there is none."""
    path = folder / f"{task}.json"
    result = read_json(path) if path.exists() else {}
    before = result.get("provenance", {})
    if any(before.get(name) != record[name] for name in SAME_RESULT):
        return None
    files = [PREDICTIONS, *([ATTENTION] if find_task(task).has_attention else [])] if "skipped" not in result else []
    return result if all(has_task(folder / name, task) for name in files) else None


def saw_tested(arguments: argparse.Namespace, labelled: Labelled) -> bool:
    """Whether the encoder was trained on tested images: the same files (``--seen``), or files with the same content."""
    content = {row["unit"]: row["content"] for row in read_table(arguments.units)}
    trained_on = {row["content"] for path in arguments.learnt_from for row in read_table(path)}
    is_tested = labelled.splits == "test"
    tested = np.unique(labelled.unit[is_tested] if is_tested.any() else labelled.unit)
    return arguments.seen or any(content[labelled.units[unit]] in trained_on for unit in tested)


def labelled_for_tasks(arguments: argparse.Namespace, embeddings: Embeddings) -> Iterator[tuple[str, Labelled]]:
    """Each task with the labelled images that it uses."""
    units, labels = read_table(arguments.units), read_table(arguments.labels)
    targets = read_table(arguments.targets) if arguments.targets else []
    images = sum(int(unit["images"]) for unit in units)
    labelled = lines = None
    for task in arguments.tasks:
        if (about := lines_about(task, labels, targets)) != lines:
            lines = about
            labelled = label_images(embeddings, units, lines, arguments.slides_are_units)
            log_left_out(images - len(labelled.unit), "images without a label")
            if arguments.slides_are_units:
                log_left_out(len(units) - len(set(labelled.unit.tolist())), "slides without a label or images")
            if arguments.fit:
                labelled = transferred(labelled_to_fit(arguments, task), labelled)
                refuse_tested_copies(arguments, labelled)
        yield task, labelled


def refuse_tested_copies(arguments: argparse.Namespace, labelled: Labelled) -> None:
    """Refuse a transfer between units with the same content, such as copies of a slide under two names.

    Raises:
        UserError: a tested unit has the content of one that classifiers learn from.
    """
    content, fit_content = (
        {row["unit"]: row["content"] for row in read_table(table)} for table in (arguments.units, arguments.fit_units)
    )
    is_tested = labelled.splits == "test"
    learnt = {fit_content[labelled.units[unit]]: unit for unit in np.unique(labelled.unit[~is_tested])}
    for unit in np.unique(labelled.unit[is_tested]):
        if (same := learnt.get(content[labelled.units[unit]])) is not None:
            raise UserError(
                f"'{labelled.units[same]}' of {arguments.fit} and '{labelled.units[unit]}' of {arguments.dataset} have "
                "the same images, so classifiers would be tested on what they learnt from: leave one of them out"
            )


def labelled_to_fit(arguments: argparse.Namespace, task: str) -> Labelled:
    """The labelled images of the data set that classifiers are fitted on."""
    lines = lines_about(task, read_table(arguments.fit_labels))
    embeddings = read_embeddings(arguments.fit_embeddings)
    return label_images(embeddings, read_table(arguments.fit_units), lines, arguments.fit_slides_are_units)


def corrupted_images(paths: Sequence[Path], embeddings: Embeddings) -> Corrupted:
    """A function that finds embeddings of corrupted images by the rows of the clean images in ``embeddings``."""

    @lru_cache(maxsize=1)
    def of_corruption(name: str) -> Embeddings:
        return read_embeddings([path for path in paths if path.parent.name == name])

    def find(name: str, rows: np.ndarray) -> np.ndarray:
        corrupted = of_corruption(name)
        tested = {embeddings.units[unit] for unit in np.unique(embeddings.unit[rows])}
        if absent := sorted(tested - set(corrupted.units)):
            raise Unmeasurable(
                f"images of unit '{absent[0]}' are tested, but have no embeddings of corrupted images: "
                "only images of the test split have them if there is one; label its images, or remove the split"
            )
        return corrupted.features[corrupted.rows_of(embeddings, rows, name)]

    return find


def blocks_of_images(paths: Sequence[Path], embeddings: Embeddings, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features of the last blocks, of images by their rows in ``embeddings`` and of their mirror images."""
    blocks = read_embeddings(paths)
    rows = blocks.rows_of(embeddings, rows, "the last blocks")
    return blocks.features[rows], blocks.flipped[rows]


def remove_others(folder: Path, tasks: list[str]) -> None:
    """Remove results of tasks that are no longer in the config, since the report would show them."""
    for path in folder.glob("*.json"):
        if path.stem not in tasks:
            path.unlink()


def log_left_out(number: int, what: str) -> None:
    """Log how many items are left out, if any."""
    if number:
        log.info("left out: %d %s", number, what)


def log_result(task: str, result: dict) -> None:
    """Log one line per metric, or the reason why the task was skipped."""
    if "skipped" in result:
        log.info("%s: skipped: %s", task, result["skipped"])
        return
    log.info("%s: %s, %d tested of %d groups", task, result["protocol"], result["n"], result["n_groups"])
    if result["unlabelled_test"]:
        log.warning(
            "%s: no image of the test split has a label, so training images are tested by cross-validation", task
        )
    if result["unlearnt_classes"]:
        effect = "never classified correctly" if find_task(task).is_fitted else "left out"
        classes = ", ".join(result["unlearnt_classes"])
        log.warning("%s: classes that are tested but missing in a training part, so %s: %s", task, effect, classes)
    if absent := result.get("left_out_classes"):
        log.warning("%s: images left out, since no image to learn from has their class: %s", task, ", ".join(absent))
    if result["n_ungrouped"]:
        message = "%s: %d tested items have no group (patient, case): each slide or single image counts as independent"
        log.info(message, task, result["n_ungrouped"])
    for metric in result["metrics"]:
        interval = "" if metric["low"] is None else " [{low:.3f}, {high:.3f}]".format(**metric)
        log.info("%s: %s %.3f%s, chance %.3f", task, metric["metric"], metric["value"], interval, metric["chance"])


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    parser.add_argument("--embeddings", type=Path, nargs="+", required=True, help="all parts, in order")
    parser.add_argument(
        "--corrupted",
        type=Path,
        nargs="*",
        default=[],
        help="parts of embeddings of the tested images, corrupted as named by their folder",
    )
    parser.add_argument(
        "--last-blocks", type=Path, nargs="*", default=[], help="all parts, in order, of the last blocks' class tokens"
    )
    parser.add_argument("--fit", help="name of another data set, on which classifiers are fitted")
    parser.add_argument("--fit-embeddings", type=Path, nargs="*", default=[], help="all its parts, in order")
    parser.add_argument("--fit-units", type=Path, help="its units.tsv")
    parser.add_argument("--fit-labels", type=Path, help="its labels.tsv")
    parser.add_argument("--fit-slides-are-units", action="store_true", help="its units are slides")
    parser.add_argument("--units", type=Path, required=True, help="units.tsv of the data set")
    parser.add_argument("--labels", type=Path, required=True, help="labels.tsv of the data set")
    parser.add_argument("--targets", type=Path, help="targets.tsv of the data set, if its sheet has targets")
    parser.add_argument("--encoder", required=True, help="name of the encoder")
    parser.add_argument("--dataset", required=True, help="name of the data set")
    parser.add_argument("--tasks", nargs="*", required=True)
    parser.add_argument("--slides-are-units", action="store_true", help="the units are slides")
    parser.add_argument("--seen", action="store_true", help="the encoder was trained on files that are tested here")
    parser.add_argument(
        "--learnt-from",
        type=Path,
        nargs="*",
        default=[],
        help="train.tsv of the encoder's training images",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    command.run(main, parser.parse_args())
