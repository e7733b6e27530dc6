"""Measure the frozen embeddings of one encoder on one data set."""

import argparse
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from gensis import command
from gensis.artifacts.files import content_id, write_json
from gensis.artifacts.provenance import provenance, to_attribute
from gensis.artifacts.tables import read_table
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled, label_images, lines_about
from gensis.evaluation.predictions import ATTENTION_FORMAT, write_attention, write_predictions
from gensis.evaluation.predictions import FORMAT as PREDICTIONS_FORMAT
from gensis.evaluation.robustness import Corrupted
from gensis.evaluation.tasks import measure
from gensis.images.embeddings import Embeddings, outside_weights, parts_content, read_embeddings
from gensis.settings.evaluation import Evaluation
from gensis.training.device import choose_device, device_name

FORMAT = "gensis-evaluation/1"
log = logging.getLogger("evaluate_encoder")


def main(arguments: argparse.Namespace) -> None:
    """Write one JSON a task, also for those that cannot be measured: these say why; predictions; attention if any."""
    settings = Evaluation.model_validate(arguments.config)
    device = choose_device(arguments.gpus, arguments.threads)
    embeddings, outside = read_embeddings(arguments.embeddings), outside_weights(arguments.embeddings)
    inputs = {
        "embeddings": parts_content(arguments.embeddings),
        "units": content_id(arguments.units),
        "labels": content_id(arguments.labels),
    }
    for name in ("corrupted", "last_blocks"):
        if paths := getattr(arguments, name):
            inputs[name] = parts_content(paths)

    def origin(format: str) -> dict[str, Any]:
        return provenance(
            format, arguments.config, inputs, arguments.seed, device_name(device), arguments.started, outside
        )

    subject = {"encoder": arguments.encoder, "dataset": arguments.dataset, "seed": arguments.seed}
    corrupted = corrupted_rows(arguments.corrupted, len(embeddings.unit))
    last_blocks = partial(rows_of_blocks, arguments.last_blocks)
    predictions, attention = {}, {}
    for task, labelled in labelled_for_tasks(arguments, embeddings):
        try:
            with threadpool_limits(arguments.threads):
                measured = measure(task, labelled, settings, arguments.seed, device, corrupted, last_blocks)
            result = measured.result | {"transductive": measured.result["transductive"] and arguments.seen}
            predictions[task], attention[task] = measured.predictions, measured.attention
        except Unmeasurable as reason:
            result = {"skipped": str(reason)}
        log_result(task, result, settings)
        values = {"format": FORMAT, **subject, "task": task, **result, "provenance": origin(FORMAT)}
        write_json(arguments.output / f"{task}.json", values)
    attributes = {"provenance": to_attribute(origin(PREDICTIONS_FORMAT))}
    write_predictions(arguments.output / "predictions.h5", predictions, attributes)
    if weighed := set(arguments.tasks) & set(settings.attention_tasks):
        found = {task: attention[task] for task in sorted(weighed & set(attention))}
        attributes = {"provenance": to_attribute(origin(ATTENTION_FORMAT))}
        write_attention(arguments.output / "attention.h5", found, embeddings.keys, attributes)
    remove_others(arguments.output, arguments.tasks)


def labelled_for_tasks(arguments: argparse.Namespace, embeddings: Embeddings) -> Iterator[tuple[str, Labelled]]:
    """Each task with the labelled images that it goes by."""
    units, labels = read_table(arguments.units), read_table(arguments.labels)
    images = sum(int(unit["images"]) for unit in units)
    labelled = lines = None
    for task in arguments.tasks:
        if (about := lines_about(task, labels)) != lines:
            lines = about
            labelled = label_images(embeddings, units, lines, arguments.slides_are_units)
            log_left_out(images - len(labelled.unit), "images without a label")
            if arguments.slides_are_units:
                log_left_out(len(units) - len(set(labelled.unit.tolist())), "slides without a label or images")
        yield task, labelled


def corrupted_rows(paths: Sequence[Path], images: int) -> Corrupted:
    """Embeddings of damaged images by their rows among all embeddings, of which they are the last."""

    @lru_cache(maxsize=1)
    def features(name: str) -> np.ndarray:
        return read_embeddings([path for path in paths if path.parent.name == name]).features

    def rows(name: str, wanted: np.ndarray) -> np.ndarray:
        found = features(name)
        return found[wanted - (images - len(found))]

    return rows


def rows_of_blocks(paths: Sequence[Path], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the last blocks say of images by their rows, and of their mirror images."""
    found = read_embeddings(paths)
    return found.features[rows], found.flipped[rows]


def remove_others(folder: Path, tasks: list[str]) -> None:
    """Remove results of tasks that the config no longer names, or the report would show them."""
    for path in folder.glob("*.json"):
        if path.stem not in tasks:
            path.unlink()


def log_left_out(number: int, what: str) -> None:
    """Say how many are left out, if any."""
    if number:
        log.info("left out: %d %s", number, what)


def log_result(task: str, result: dict, settings: Evaluation) -> None:
    """One line a metric, or the reason why there is none."""
    if "skipped" in result:
        log.info("%s: skipped: %s", task, result["skipped"])
        return
    log.info("%s: %s, %d tested of %d groups", task, result["protocol"], result["n"], result["n_groups"])
    names = {metric["metric"] for metric in result["metrics"]}
    if task == "knn" and (dropped := [k for k in settings.knn if f"accuracy_k{k}" not in names]):
        log.info("knn: fewer training images than k = %s, dropped", ", ".join(map(str, dropped)))
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
        help="the last parts again, of images damaged as their folder says",
    )
    parser.add_argument(
        "--last-blocks", type=Path, nargs="*", default=[], help="all parts again, of the last blocks' class tokens"
    )
    parser.add_argument("--units", type=Path, required=True, help="units.tsv of the data set")
    parser.add_argument("--labels", type=Path, required=True, help="labels.tsv of the data set")
    parser.add_argument("--encoder", required=True, help="name of the encoder")
    parser.add_argument("--dataset", required=True, help="name of the data set")
    parser.add_argument("--tasks", nargs="*", required=True)
    parser.add_argument("--slides-are-units", action="store_true", help="the units are slides")
    parser.add_argument("--seen", action="store_true", help="the encoder learnt from this data set's train images")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    command.run(main, parser.parse_args())
