"""Time of the jobs of a run, from the benchmarks that Snakemake writes."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean

from gensis.artifacts.tables import read_table
from gensis.figures.run import Run, Training
from gensis.settings.roles import UNTRAINED

_OF_SHARDS = ("generate_bank", "copy_bank", "filter_bank")
_TRAINED = {"autoencoder": "train_autoencoder", "diffusion": "train_diffusion"}


@dataclass(frozen=True)
class Cost:
    """Time of some jobs; NaN where it was not measured."""

    seconds: float
    processor_seconds: float
    """CPU time."""
    gpu_seconds: float
    """`seconds` of jobs on a GPU."""


Key = tuple[str, str, int]
"""Stage, subject (encoder or bank) and seed."""
Costs = dict[Key, Cost]
"""Cost of all jobs of a stage, subject and seed."""


def read_costs(run: Run) -> Costs:
    """Read the benchmarks. They cover the last job only: of a resumed training, all steps in its history are summed up,
    and their CPU time is that of the last job in proportion. Jobs that only an earlier version of the study had, as
    those of further shards, are left out."""
    jobs = _jobs(run)
    found: dict[Key, list[tuple[float, float]]] = defaultdict(list)
    for path in sorted((run.folder / "benchmarks").glob("*/*.tsv")):
        subject, _, seed = path.stem.rpartition("seed")
        stage, subject, number = path.parent.name, subject.rstrip("-"), int(seed.partition("-")[0])
        part = int(seed.rpartition("-")[2])  # or shard, if the stage is divided
        if number not in run.study.seeds or (stage in jobs and part >= jobs[stage].get(subject, 0)):
            continue
        last = read_table(path)[-1]
        found[stage, subject, number].append((float(last["s"]), _number(last.get("cpu_time", ""))))
    times = {key: tuple(map(sum, zip(*of_key))) for key, of_key in found.items()}
    for training in run.trainings:
        key = _key(run, training)
        if key in times and (seconds := _seconds_of_steps(training)) > times[key][0]:
            times[key] = seconds, times[key][1] * seconds / times[key][0]
    on_gpu = set(_on_gpu(run))
    return {key: Cost(*time, gpu_seconds=time[0] if key in on_gpu else 0.0) for key, time in times.items()}


def mean_cost(costs: Costs, stage: str, subject: str) -> Cost:
    """Mean over the seeds; NaN if nothing was measured."""
    found = [each for (*key, _), each in costs.items() if key == [stage, subject]]
    return _combined(found, fmean) if found else Cost(math.nan, math.nan, math.nan)


def sum_costs(costs: Iterable[Cost]) -> Cost:
    """Sum of some costs."""
    return _combined(list(costs), sum)


def _combined(costs: list[Cost], combine: Callable[[list[float]], float]) -> Cost:
    names = ("seconds", "processor_seconds", "gpu_seconds")
    return Cost(*(combine([getattr(each, name) for each in costs]) for name in names))


def _key(run: Run, training: Training) -> Key:
    of_encoder = "pretrain_encoder" if training.name == run.study.baseline else "retrain_encoder"
    return _TRAINED.get(training.stage, of_encoder), training.name, training.seed


def _jobs(run: Run) -> dict[str, dict[str, float]]:
    """Stage -> subject -> number of jobs that it is divided into, infinite if it is not; other stages have no subjects
    that a study could lose."""
    study = run.study
    names = (*study.trained_encoders, *study.encoders, *UNTRAINED)
    encoders = dict.fromkeys(names, math.inf)
    shards = {name: bank.shards for name, bank in study.banks.items()}
    parts = {f"{encoder}-{dataset}": run.part_count(dataset) for encoder in names for dataset in study.used_datasets}
    return {
        **dict.fromkeys(("pretrain_encoder", "retrain_encoder"), encoders),
        **dict.fromkeys(_OF_SHARDS, shards),
        "evaluate_bank": dict.fromkeys(shards, math.inf),
        **dict.fromkeys(("embed_images", "embed_corrupted", "embed_blocks"), parts),
        "evaluate_encoder": dict.fromkeys(parts, math.inf),
    }


def _on_gpu(run: Run) -> Iterator[Key]:
    """Trainings and banks that a GPU made."""
    for training in run.trainings:
        if training.provenance.get("device", "cpu") != "cpu":
            yield _key(run, training)
    for bank in run.banks:
        if any(record.get("device", "cpu") != "cpu" for record in bank.provenance()):
            yield from ((stage, bank.name, bank.seed) for stage in _OF_SHARDS)


def _seconds_of_steps(training: Training) -> float:
    """Time of all steps, over all jobs of the training."""
    steps, rates = (training.history.get(name, []) for name in ("step", "images_per_second"))
    batch_size = training.provenance.get("settings", {}).get("batch_size", math.nan)
    since = [step - before for before, step in zip([0, *steps], steps)]
    return sum(number * batch_size / rate for number, rate in zip(since, rates))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:  # Snakemake measures nothing in very short jobs
        return math.nan
