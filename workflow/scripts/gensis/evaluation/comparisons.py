"""The table of comparisons between encoders. docs/artifacts.md explains its columns."""

import math
from collections.abc import Iterable
from pathlib import Path

from gensis.artifacts.tables import write_table
from gensis.evaluation.paired import Comparison

COLUMNS = ("encoder", "baseline", "dataset", "task", "metric", "over", "seed", "n", "difference", "low", "high")
COLUMNS += ("interval", "p", "test")


def write_comparisons(path: Path, comparisons: Iterable[Comparison]) -> None:
    """Write comparisons.csv."""
    write_table(path, COLUMNS, map(_row, comparisons), delimiter=",")


def _row(comparison: Comparison) -> tuple:
    estimate, pair = comparison.estimate, comparison.pair
    over, seed = ("seeds", "") if comparison.seed is None else ("items", comparison.seed)
    subject = (pair.encoder, pair.baseline, comparison.dataset, comparison.task, comparison.metric)
    numbers = (_cell(value) for value in (estimate.difference, estimate.low, estimate.high))
    p = "" if math.isnan(estimate.p) else float(f"{estimate.p:.6g}")
    return (*subject, over, seed, estimate.n, *numbers, estimate.interval, p, estimate.test)


def _cell(value: float) -> float | str:
    """Six decimals; empty for NaN."""
    return "" if math.isnan(value) else round(value, 6)
