"""Comparisons of encoders as a table: docs/artifacts.md explains the columns."""

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


def _row(found: Comparison) -> tuple:
    estimate, pair = found.estimate, found.pair
    over, seed = ("seeds", "") if found.seed is None else ("items", found.seed)
    what = (pair.encoder, pair.baseline, found.dataset, found.task, found.metric, over, seed, estimate.n)
    numbers = (_cell(value) for value in (estimate.difference, estimate.low, estimate.high))
    return (*what, *numbers, estimate.interval, _cell(estimate.p), estimate.test)


def _cell(value: float) -> float | str:
    """Six decimals; empty for NaN."""
    return "" if math.isnan(value) else round(value, 6)
