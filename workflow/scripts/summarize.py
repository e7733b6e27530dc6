"""Gather all evaluations of a run into one table."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gensis import command
from gensis.artifacts.files import read_json
from gensis.artifacts.tables import write_table

COLUMNS = ("encoder", "dataset", "seed", "task", "metric", "value", "low", "high", "n", "outside_weights")


def main(arguments: argparse.Namespace) -> None:
    """Write one row a metric, then one for chance for each data set, seed, task and metric.

    The last column is there where weights trained elsewhere were measured.
    """
    evaluations = [read_json(path) for path in arguments.evaluations]
    measured = [row for evaluation in evaluations for row in rows(evaluation)]
    by_chance = {row[1:5]: row for evaluation in evaluations for row in chance_rows(evaluation)}
    table = [*measured, *by_chance.values()]
    columns = COLUMNS if any(row[-1] for row in table) else COLUMNS[:-1]
    write_table(arguments.output, columns, [row[: len(columns)] for row in table], delimiter=",")


def rows(evaluation: dict[str, Any]) -> Iterator[tuple]:
    """The metrics of one evaluation; none if it was skipped."""
    outside = " ".join(evaluation.get("provenance", {}).get("outside_weights", {}))
    dataset, seed, task = (evaluation[key] for key in ("dataset", "seed", "task"))
    for metric in evaluation.get("metrics", []):
        numbers = (rounded(metric[key]) for key in ("value", "low", "high"))
        yield (evaluation["encoder"], dataset, seed, task, metric["metric"], *numbers, metric["n"], outside)


def chance_rows(evaluation: dict[str, Any]) -> Iterator[tuple]:
    """What chance would give for the same metrics."""
    metrics = [
        metric | {"value": metric["chance"], "low": None, "high": None} for metric in evaluation.get("metrics", [])
    ]
    return rows(evaluation | {"encoder": "chance", "metrics": metrics, "provenance": {}})


def rounded(value: float | None) -> float | str:
    """Six decimals; empty for None."""
    return "" if value is None else round(value, 6)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--evaluations", type=Path, nargs="*", required=True, help="the JSON files of evaluate_encoder")
    parser.add_argument("--output", type=Path, required=True, help="summary.csv")
    command.run(main, parser.parse_args())
