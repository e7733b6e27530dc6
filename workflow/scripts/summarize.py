"""Gather all evaluations of a run in summary.csv, and compare its encoders in pairs in comparisons.csv."""

import argparse
import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from gensis import command
from gensis.artifacts.files import read_json
from gensis.artifacts.tables import write_table
from gensis.evaluation.answers import read_answers
from gensis.evaluation.comparisons import write_comparisons
from gensis.evaluation.paired import Comparison, Pair, Value, compare_over_seeds, pairs_of
from gensis.evaluation.paired_items import compare_over_items

COLUMNS = ("encoder", "dataset", "seed", "task", "metric", "value", "low", "high", "n", "n_groups")


def main(arguments: argparse.Namespace) -> None:
    """Write a row for each metric, then one for chance for each data set, seed, task and metric; then the comparisons.

    The column `external_weights` is written only if an encoder with external weights was evaluated.
    """
    evaluations = [read_json(path) for path in arguments.evaluations]
    measured = [row for evaluation in evaluations for row in rows(evaluation)]
    by_chance = {row[1:5]: row for evaluation in evaluations for row in chance_rows(evaluation)}
    table = [*measured, *by_chance.values()]
    columns = (*COLUMNS, "external_weights") if any(row[-1] for row in table) else COLUMNS
    write_table(arguments.output, columns, [row[: len(columns)] for row in table], delimiter=",")
    pairs = pairs_of(arguments.baseline, arguments.arms, arguments.main_arm, arguments.external)
    trained = not arguments.nothing_trained
    found = [*compare_over_seeds([*values(evaluations)], pairs, trained=trained), *over_items(arguments, pairs)]
    write_comparisons(arguments.comparisons, found)


def rows(evaluation: dict[str, Any]) -> Iterator[tuple]:
    """The metrics of one evaluation; none if it was skipped."""
    external = " ".join(evaluation.get("provenance", {}).get("external_weights", {}))
    dataset, seed, task = (evaluation[key] for key in ("dataset", "seed", "task"))
    for metric in evaluation.get("metrics", []):
        numbers = (rounded(metric[key]) for key in ("value", "low", "high"))
        counts = (metric["n"], evaluation["n_groups"])
        yield (evaluation["encoder"], dataset, seed, task, metric["metric"], *numbers, *counts, external)


def chance_rows(evaluation: dict[str, Any]) -> Iterator[tuple]:
    """The same metrics at chance level."""
    metrics = [
        metric | {"value": metric["chance"], "low": None, "high": None} for metric in evaluation.get("metrics", [])
    ]
    return rows(evaluation | {"encoder": "chance", "metrics": metrics, "provenance": {}})


def values(evaluations: list[dict[str, Any]]) -> Iterator[Value]:
    """All metrics that have a value."""
    for evaluation in evaluations:
        encoder, dataset, seed, task = (evaluation[key] for key in ("encoder", "dataset", "seed", "task"))
        for metric in evaluation.get("metrics", []):
            if metric["value"] is not None and math.isfinite(metric["value"]):
                yield Value(
                    encoder=encoder,
                    dataset=dataset,
                    seed=seed,
                    task=task,
                    metric=metric["metric"],
                    value=metric["value"],
                )


def over_items(arguments: argparse.Namespace, pairs: list[Pair]) -> Iterator[Comparison]:
    """Comparisons over test items, for each data set and seed."""
    compared = {name for pair in pairs for name in (pair.encoder, pair.baseline)}

    def subject(path: Path) -> tuple[str, int]:
        return path.parts[-3], int(path.parts[-2].removeprefix("seed"))

    paths = [path for path in arguments.predictions if path.parts[-4] in compared]
    for (dataset, seed), of_seed in groupby(sorted(paths, key=subject), subject):
        answers = {path.parts[-4]: read_answers(path) for path in of_seed}
        for task in dict.fromkeys(task for each in answers.values() for task in each):
            of_task = {encoder: each[task] for encoder, each in answers.items() if task in each}
            for pair, metric, estimate in compare_over_items(
                of_task, pairs, arguments.resamples, trained=not arguments.nothing_trained
            ):
                yield Comparison(pair, dataset, task, metric, seed=seed, estimate=estimate)


def rounded(value: float | None) -> float | str:
    """Rounded to six decimals; empty for None."""
    return "" if value is None else round(value, 6)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--evaluations", type=Path, nargs="*", required=True, help="the JSON files of evaluate_encoder")
    parser.add_argument("--predictions", type=Path, nargs="*", default=[], help="the predictions.h5 files beside them")
    parser.add_argument("--baseline", required=True, help="the encoder with which all others are compared")
    parser.add_argument("--arms", nargs="*", default=[], help="encoders to compare, in the order of the config")
    parser.add_argument("--main-arm", help="the arm that is compared with all others")
    parser.add_argument("--external", nargs="*", default=[], help="external encoders, if others are trained")
    parser.add_argument("--nothing-trained", action="store_true", help="all encoders are external")
    parser.add_argument(
        "--resamples", type=int, default=0, help="bootstrap resamples of the test groups; 0: no intervals over items"
    )
    parser.add_argument("--output", type=Path, required=True, help="summary.csv")
    parser.add_argument("--comparisons", type=Path, required=True, help="comparisons.csv")
    command.run(main, parser.parse_args())
