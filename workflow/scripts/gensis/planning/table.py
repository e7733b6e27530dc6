"""The plan of a study as a table: images, passes, hours, disk and memory of each stage."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gensis.planning.rates import Rates
from gensis.planning.work import THREADS, Work
from gensis.progress import duration

HEADER = ("stage", "images", "passes", "time, a seed", "time, all", "disk, all", "memory", "GPU memory")
UNKNOWN = "?"
ABOUT = "~"
NOT_DIVIDED = ("tile slides", "import images")
"""Kinds of work that run on CPUs only."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A stage of the plan."""

    stage: str
    images: float
    passes: float
    """Forward passes of networks."""
    seconds: float | None
    """Wall-clock time for one seed; None if a rate is missing."""
    is_estimate: bool
    """Whether a rate was measured for another case."""
    seeds: int
    disk_bytes: float
    """Of one seed."""
    memory_bytes: float
    """Of the largest job."""
    gpu_bytes: float


def rows(works: Sequence[Work], rates: Rates, gpus: int, gflop: Callable[[Work], float]) -> list[Row]:
    """The stages in order; works of one stage are added up.

    Args:
        works: of a study.
        rates: of the machine.
        gpus: number of GPUs that share the work, without loss; 0 on a CPU.
        gflop: arithmetic of a unit of a work, asked for where no rate of its case is known.
    """
    return [_row(stage, list(of_stage), rates, gpus=gpus, gflop=gflop) for stage, of_stage in _stages(works)]


def _stages(works: Sequence[Work]) -> Iterator[tuple[str, Iterable[Work]]]:
    order = {stage: number for number, stage in enumerate(dict.fromkeys(work.stage for work in works))}
    return groupby(sorted(works, key=lambda work: order[work.stage]), key=lambda work: work.stage)


def _row(stage: str, works: list[Work], rates: Rates, *, gpus: int, gflop: Callable[[Work], float]) -> Row:
    seconds: float | None = 0.0
    disk, gpu_bytes, is_estimate = 0.0, 0, False
    for work in works:
        disk += work.disk_bytes
        if not work.units and not work.jobs:
            continue
        known = any((rate.kind, rate.case) == (work.kind, work.case) for rate in rates.rates)
        found = rates.of(work.kind, work.case, 0.0 if known else gflop(work))
        if found is None:
            seconds = None
            continue
        rate, is_exact = found
        is_estimate |= not is_exact and work.units > 0
        disk += work.saved * rate.saved_bytes
        gpu_bytes = max(gpu_bytes, rate.gpu_bytes)
        if seconds is not None:
            seconds += (work.jobs * rate.job_seconds + work.units * rate.seconds) / _at_a_time(work, rates, gpus)
    return Row(
        stage=stage,
        images=sum(work.images for work in works),
        passes=sum(work.units for work in works if work.kind not in ("tile slides", "import images", "evaluate")),
        seconds=seconds,
        is_estimate=is_estimate,
        seeds=max(work.seeds for work in works),
        disk_bytes=disk,
        memory_bytes=max(work.memory_bytes for work in works),
        gpu_bytes=gpu_bytes,
    )


def _at_a_time(work: Work, rates: Rates, gpus: int) -> float:
    """Jobs of a kind that run at once, or GPUs that share a training."""
    if gpus and work.kind not in NOT_DIVIDED:
        return gpus if work.kind.startswith("train") else min(gpus, max(work.jobs, 1))
    slots = rates.cores // min(THREADS[work.kind], rates.cores)
    return min(slots, max(work.jobs, 1))


def total(of_stages: Sequence[Row]) -> Row:
    """All stages, one after the other."""
    known = [row.seconds for row in of_stages]
    return Row(
        stage="all",
        images=sum(row.images for row in of_stages),
        passes=sum(row.passes for row in of_stages),
        seconds=None if None in known else sum(known),
        is_estimate=any(row.is_estimate for row in of_stages),
        seeds=1,
        disk_bytes=sum(row.disk_bytes for row in of_stages),
        memory_bytes=max(row.memory_bytes for row in of_stages),
        gpu_bytes=max(row.gpu_bytes for row in of_stages),
    )


def lines(of_stages: Sequence[Row]) -> list[str]:
    """The table as text, a line for each stage and one for all."""
    whole = total(of_stages)
    every = [row.seconds and row.seconds * row.seeds for row in of_stages]
    in_all = None if None in every else sum(every)
    disk = sum(row.disk_bytes * row.seeds for row in of_stages)
    cells = [
        HEADER,
        *(_cells(row, row.seconds and row.seconds * row.seeds, row.disk_bytes * row.seeds) for row in of_stages),
    ]
    cells.append(_cells(whole, in_all, disk))
    widths = [max(map(len, column)) for column in zip(*cells)]
    return [
        "  ".join(_aligned(cell, width, at) for at, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in cells
    ]


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _cells(row: Row, seconds: float | None, disk_bytes: float) -> tuple[str, ...]:
    about = ABOUT if row.is_estimate else ""
    return (
        row.stage,
        _count(row.images),
        _count(row.passes),
        _time(row.seconds, about),
        _time(seconds, about),
        _size(disk_bytes),
        _size(row.memory_bytes),
        _size(row.gpu_bytes),
    )


def _time(seconds: float | None, about: str) -> str:
    return UNKNOWN if seconds is None else about + duration(seconds)


def _count(number: float) -> str:
    if number < 1e6:
        return f"{number:,.0f}" if number else ""
    return f"{number / 1e6:,.3g} M" if number < 1e9 else f"{number / 1e9:,.3g} G"


def _size(number: float) -> str:
    if not number:
        return ""
    return f"{number / 1e6:.0f} MB" if number < 1e9 else f"{number / 1e9:,.1f} GB"
