"""Compute time: of each stage, and of all stages that an arm needs."""

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

from gensis.figures.markup import ABSENT, count, figure, table, text
from gensis.figures.run import Run, Training
from gensis.progress import duration

STAGES = {
    "pretrain_encoder": "pre-training",
    "embed_images": "embeddings",
    "train_autoencoder": "autoencoder",
    "train_diffusion": "diffusion model",
    "generate_bank": "bank generation",
    "copy_bank": "copies of real images",
    "evaluate_bank": "bank evaluation",
    "retrain_encoder": "retraining",
    "evaluate_encoder": "evaluation",
}
"""Folder of `benchmarks/` -> name of the stage, in the order of the pipeline."""
_TRAINED = {"autoencoder": "train_autoencoder", "diffusion": "train_diffusion"}


@dataclass(frozen=True)
class Cost:
    """Time of all jobs of one stage, subject and seed."""

    seconds: float
    processor_seconds: float
    """CPU time; NaN where it was not measured."""


Costs = dict[tuple[str, str, int], Cost]
"""Stage, subject (encoder or bank) and seed -> cost."""


def cost(run: Run) -> str:
    """A table of stages and one of arms; empty without `benchmarks/`."""
    costs = read_costs(run)
    return "\n".join(filter(None, [_stages(costs), _arms(run, costs)])) if costs else ""


def read_costs(run: Run) -> Costs:
    """Read the benchmarks. They cover the last job only: of a resumed training, sum up all steps in its history."""
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
        key = (_stage(training, run.study.baseline), training.name, training.seed)
        if key in costs and (seconds := _seconds_of_steps(training)) > costs[key].seconds:
            costs[key] = Cost(seconds, math.nan)
    return costs


def _stage(training: Training, baseline: str) -> str:
    of_encoder = "pretrain_encoder" if training.name == baseline else "retrain_encoder"
    return _TRAINED.get(training.stage, of_encoder)


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
    caption = "Sum over all seeds and encoders, in wall-clock time and CPU time. A job that was rerun counts once."
    return figure(table(["stage", "runs", "wall-clock time", "CPU time"], rows, "numbers"), caption)


def _arms(run: Run, costs: Costs) -> str:
    baseline = run.study.baseline
    first = _mean(costs, "pretrain_encoder", baseline)
    rows = []
    for arm, settings in run.study.retraining.items():
        own = _mean(costs, "retrain_encoder", arm)
        bank = run.study.banks.get(settings.bank)
        is_generated = bank is not None and bank.is_generated
        diffusion = _mean(costs, "train_diffusion", bank.encoder) if is_generated else 0.0
        generation = _mean(costs, "generate_bank" if is_generated else "copy_bank", settings.bank) if bank else 0.0
        encoder = first if bank and bank.kind != "sources" else 0.0
        total = encoder + diffusion + generation + own
        parts = [own, diffusion, generation, total]
        rows.append([text(arm), *(_cell(seconds) for seconds in parts)])
    if not rows:
        return ""
    rows.insert(0, [text(baseline), _cell(first), ABSENT, ABSENT, _cell(first)])
    header = ["arm", "own training", "diffusion model", "bank generation", "total"]
    caption = (
        f"Wall-clock time of each arm for one seed, mean over {count(len(run.study.seeds), 'seed')}. Total of an arm "
        f"with a bank: what the bank needs of the training of {text(baseline)} and of the diffusion model, generation "
        "of the bank, and the arm's own training."
    )
    return figure(table(header, rows, "numbers"), caption)


def _mean(costs: Costs, stage: str, subject: str) -> float:
    found = [each.seconds for (*key, _), each in costs.items() if key == [stage, subject]]
    return fmean(found) if found else math.nan


def _cell(seconds: float) -> str:
    return ABSENT if math.isnan(seconds) or not seconds else duration(seconds)
