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
    and their CPU time is that of the last job in proportion."""
    found: dict[Key, list[tuple[float, float]]] = defaultdict(list)
    for path in sorted((run.folder / "benchmarks").glob("*/*.tsv")):
        subject, _, seed = path.stem.rpartition("seed")
        key = (path.parent.name, subject.rstrip("-"), int(seed.partition("-")[0]))
        number = int(seed.rpartition("-")[2])  # of the part or the shard, if it is divided
        if number >= _jobs_of(run, *key):
            continue
        last = read_table(path)[-1]
        found[key].append((float(last["s"]), _number(last.get("cpu_time", ""))))
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


def _jobs_of(run: Run, stage: str, subject: str, seed: int) -> float:
    """Number of jobs that a stage is divided into, infinite if it is not: an earlier study may have had more.

    0 for seeds, banks and data sets that the study does not have.
    """
    study = run.study
    encoders = {*study.trained_encoders, *study.encoders, *UNTRAINED}
    dataset = {f"{encoder}-{name}": name for encoder in encoders for name in study.used_datasets}.get(subject)
    if seed not in study.seeds:
        return 0
    if stage.endswith("_bank"):
        shards = study.banks[subject].shards if subject in study.banks else 0
        return shards if stage in _OF_SHARDS or not shards else math.inf
    if stage.startswith("embed_") or stage == "evaluate_encoder":
        parts = run.part_count(dataset) if dataset else 0
        return parts if stage.startswith("embed_") or not parts else math.inf
    return math.inf if stage not in ("pretrain_encoder", "retrain_encoder") or subject in encoders else 0


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
