"""What the run cost: time of each stage, and of the whole chain that an arm needs."""

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

from gensis.command import duration
from gensis.figures.markup import ABSENT, count, figure, table, text
from gensis.figures.run import Run, Training

STAGES = {
    "pretrain_encoder": "DINO encoder",
    "embed_images": "embeddings",
    "train_autoencoder": "autoencoder",
    "train_diffusion": "diffusion model",
    "generate_bank": "bank, generated",
    "evaluate_bank": "bank, measured",
    "retrain_encoder": "DINO again",
    "evaluate_encoder": "evaluation",
}
"""Folder of `benchmarks/` -> what its jobs do, in the order of the flow."""
_TRAINED = {"autoencoder": "train_autoencoder", "diffusion": "train_diffusion"}


@dataclass(frozen=True)
class Cost:
    """Of all jobs of one stage, subject and seed."""

    seconds: float
    processor_seconds: float
    """NaN where it was not measured."""


Costs = dict[tuple[str, str, int], Cost]
"""Stage, subject (encoder or bank) and seed -> cost."""


def cost(run: Run) -> str:
    """A table of stages and one of arms; empty without `benchmarks/`."""
    costs = read_costs(run)
    return "\n".join(filter(None, [_stages(costs), _arms(run, costs)])) if costs else ""


def read_costs(run: Run) -> Costs:
    """From the benchmarks, each of the last job; from its history where a training took longer than that job."""
    found: dict[tuple[str, str, int], list[Cost]] = defaultdict(list)
    for path in sorted((run.folder / "benchmarks").glob("*/*.tsv")):
        subject, _, seed = path.stem.rpartition("seed")
        with open(path, newline="") as stream:
            last = list(csv.DictReader(stream, delimiter="\t"))[-1]
        key = (path.parent.name, subject.rstrip("-"), int(seed.partition("-")[0]))
        found[key].append(Cost(float(last["s"]), _number(last.get("cpu_time", ""))))
    costs = {
        key: Cost(sum(each.seconds for each in of_key), sum(each.processor_seconds for each in of_key))
        for key, of_key in found.items()
    }
    for training in run.trainings:
        key = (_stage(training), training.name, training.seed)
        if key in costs and (seconds := _seconds_of_steps(training)) > costs[key].seconds:
            costs[key] = Cost(seconds, math.nan)
    return costs


def _stage(training: Training) -> str:
    of_encoder = "pretrain_encoder" if training.name == "dino" else "retrain_encoder"
    return _TRAINED.get(training.stage, of_encoder)


def _seconds_of_steps(training: Training) -> float:
    """Time of all steps, whichever job did them."""
    steps, rates = (training.history.get(name, []) for name in ("step", "images_per_second"))
    batch_size = training.provenance.get("settings", {}).get("batch_size", math.nan)
    since = [step - before for before, step in zip([0, *steps], steps)]
    return sum(number * batch_size / rate for number, rate in zip(since, rates))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:  # Snakemake has no figure of jobs that end too soon
        return math.nan


def _stages(costs: Costs) -> str:
    rows = []
    for stage, name in STAGES.items():
        found = [each for (of_stage, _, _), each in costs.items() if of_stage == stage]
        if found:
            processor = sum(each.processor_seconds for each in found)
            rows.append(
                [
                    text(name),
                    f"{len(found):,}",
                    duration(sum(each.seconds for each in found)),
                    ABSENT if math.isnan(processor) else duration(processor),
                ]
            )
    caption = "Of all seeds and encoders, as the clock and as the processor went. A job that was run again counts once."
    return figure(table(["stage", "times made", "time", "processor time"], rows, "numbers"), caption)


def _arms(run: Run, costs: Costs) -> str:
    rows = []
    for arm, settings in run.study.retraining.items():
        own = _mean(costs, "retrain_encoder", arm)
        bank = run.study.banks.get(settings.bank)
        diffusion = _mean(costs, "train_diffusion", bank.encoder) if bank else 0.0
        generation = _mean(costs, "generate_bank", settings.bank) if bank else 0.0
        first = _mean(costs, "pretrain_encoder", "dino") if bank else 0.0
        parts = [own, diffusion, generation, first + diffusion + generation + own]
        rows.append([text(arm), *(_said(seconds) for seconds in parts)])
    if not rows:
        return ""
    rows.insert(0, ["dino", _said(dino := _mean(costs, "pretrain_encoder", "dino")), ABSENT, ABSENT, _said(dino)])
    header = ["arm", "its training", "diffusion model", "generation", "whole chain"]
    caption = (
        f"What one seed of an arm costs, mean of {count(len(run.study.seeds), 'seed')}. The whole chain of an arm with "
        "a bank: dino, the diffusion model, generation, and the arm's own training."
    )
    return figure(table(header, rows, "numbers"), caption)


def _mean(costs: Costs, stage: str, subject: str) -> float:
    found = [each.seconds for (*what, _), each in costs.items() if what == [stage, subject]]
    return fmean(found) if found else math.nan


def _said(seconds: float) -> str:
    return ABSENT if math.isnan(seconds) or not seconds else duration(seconds)
