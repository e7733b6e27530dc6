"""The plan of a study as a table: images, passes, hours, disk and memory of each stage."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gensis.planning.rates import Rates
from gensis.planning.work import THREADS, Work
from gensis.progress import duration

HEADER = ("stage", "images", "passes", "time, a seed", "time, all", "disk, all", "memory", "GPU memory")
UNKNOWN, MORE, ABOUT = "?", "> ", "~"
"""Marks of a time: without a rate, with a rate for a part, with the rate of another case."""
NOT_DIVIDED = ("tile slides", "import images")
"""Kinds of work that run on CPUs only."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A stage of the plan."""

    stage: str
    images: float
    passes: float
    """Forward passes of networks."""
    seconds: float
    """Wall-clock time for one seed, of what has a rate."""
    is_partial: bool
    """Whether a rate is missing."""
    is_estimate: bool
    """Whether a rate was measured for another case."""
    seeds: int
    disk_bytes: float
    """Of one seed."""
    memory_bytes: float
    """Of the largest job."""
    gpu_bytes: float
    sources: tuple[str, ...] = ()
    """Where the rates are from, where a file of rates says it."""


def rows(works: Sequence[Work], rates: Rates, gpus: int) -> list[Row]:
    """The stages in order; works of one stage are added up.

    Args:
        works: of a study.
        rates: of the machine.
        gpus: number of GPUs that share the work, without loss; 0 on a CPU.
    """
    return [_row(stage, list(of_stage), rates, gpus) for stage, of_stage in _stages(works)]


def _stages(works: Sequence[Work]) -> Iterator[tuple[str, Iterable[Work]]]:
    order = {stage: number for number, stage in enumerate(dict.fromkeys(work.stage for work in works))}
    return groupby(sorted(works, key=lambda work: order[work.stage]), key=lambda work: work.stage)


def _row(stage: str, works: list[Work], rates: Rates, gpus: int) -> Row:
    images = passes = seconds = disk = 0.0
    gpu_bytes, is_estimate, is_partial = 0, False, False
    sources: dict[str, None] = {}
    seeds = max(work.seeds for work in works)
    for work in works:
        share = work.seeds / seeds  # of a seed: some encoders embed once for all seeds
        images += share * work.images
        passes += share * work.units * (work.kind not in ("tile slides", "import images", "evaluate"))
        disk += share * work.disk_bytes
        if not work.units and not work.jobs:
            continue
        found = rates.of(work.kind, work.case, work.gflop)
        if found is None:
            is_partial = True
            continue
        rate, is_exact = found
        is_estimate |= not is_exact and work.units > 0
        disk += share * work.saved * rate.saved_bytes
        gpu_bytes = max(gpu_bytes, rate.gpu_bytes)
        seconds += share * (work.jobs * rate.job_seconds + work.units * rate.seconds) / _at_a_time(work, rates, gpus)
        sources |= {rate.source: None} if work.units and rate.source else {}
    return Row(
        stage=stage,
        images=images,
        passes=passes,
        seconds=seconds,
        is_estimate=is_estimate,
        is_partial=is_partial,
        seeds=seeds,
        disk_bytes=disk,
        memory_bytes=max(work.memory_bytes for work in works),
        gpu_bytes=gpu_bytes,
        sources=tuple(sources),
    )


def _at_a_time(work: Work, rates: Rates, gpus: int) -> float:
    """Jobs of a kind that run at once, or GPUs that share a training."""
    if gpus and work.kind not in NOT_DIVIDED:
        return gpus if work.kind.startswith("train") else min(gpus, max(work.jobs, 1))
    slots = rates.cores // min(THREADS[work.kind], rates.cores)
    return min(slots, max(work.jobs, 1))


def total(of_stages: Sequence[Row]) -> Row:
    """All stages, one after the other."""
    return Row(
        stage="all",
        images=sum(row.images for row in of_stages),
        passes=sum(row.passes for row in of_stages),
        seconds=sum(row.seconds for row in of_stages),
        is_estimate=any(row.is_estimate for row in of_stages),
        is_partial=any(row.is_partial for row in of_stages),
        seeds=1,
        disk_bytes=sum(row.disk_bytes for row in of_stages),
        memory_bytes=max(row.memory_bytes for row in of_stages),
        gpu_bytes=max(row.gpu_bytes for row in of_stages),
    )


def lines(of_stages: Sequence[Row]) -> list[str]:
    """The table as text: a header, a line for each stage and one for all."""
    every = [HEADER, *cells(of_stages)]
    widths = [max(map(len, column)) for column in zip(*every)]
    return ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in every]


def cells(of_stages: Sequence[Row]) -> list[tuple[str, ...]]:
    """The cells of each stage, under `HEADER`, and of all stages."""
    seconds = [row.seconds * row.seeds for row in of_stages]
    disk = [row.disk_bytes * row.seeds for row in of_stages]
    return [*map(_cells, of_stages, seconds, disk), _cells(total(of_stages), sum(seconds), sum(disk))]


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _cells(row: Row, seconds: float, disk_bytes: float) -> tuple[str, ...]:
    return (
        row.stage,
        _count(row.images),
        _count(row.passes),
        _time(row, row.seconds),
        _time(row, seconds),
        size(disk_bytes),
        size(row.memory_bytes),
        size(row.gpu_bytes),
    )


def _time(row: Row, seconds: float) -> str:
    if row.is_partial and not seconds:
        return UNKNOWN
    return (MORE if row.is_partial else "") + (ABOUT if row.is_estimate else "") + _long(seconds)


def _long(seconds: float) -> str:
    return f"{seconds / 86_400:.1f} days" if seconds > 3 * 86_400 else duration(seconds)


def _count(number: float) -> str:
    if number < 1e6:
        return f"{number:,.0f}" if number else ""
    value, unit = (number / 1e6, "M") if number < 1e9 else (number / 1e9, "G")
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def size(number: float) -> str:
    """A number of bytes with its unit; empty if it is 0."""
    if not number:
        return ""
    value, unit = (
        (number / 1e6, "MB") if number < 1e9 else (number / 1e9, "GB") if number < 1e12 else (number / 1e12, "TB")
    )
    return f"{value:.0f} {unit}" if unit == "MB" else f"{value:.1f} {unit}"
