"""Compute time: of each stage, and of all stages that an arm needs."""

import math

from gensis.figures.arm_cost import HOUR, arm_costs, arm_table, bank_rule
from gensis.figures.job_costs import Costs, mean_cost, read_costs
from gensis.figures.markup import ABSENT, count, figure, table, text
from gensis.figures.run import Run
from gensis.progress import duration

STAGES = {
    "pretrain_encoder": "pre-training",
    "embed_images": "embeddings",
    "embed_corrupted": "embeddings of corrupted images",
    "embed_blocks": "embeddings by the last blocks",
    "train_autoencoder": "autoencoder",
    "train_diffusion": "diffusion model",
    "generate_bank": "bank generation",
    "copy_bank": "copies of real images",
    "filter_bank": "bank filter",
    "evaluate_bank": "bank evaluation",
    "retrain_encoder": "retraining",
    "evaluate_encoder": "evaluation",
    "evaluate_transfer": "evaluation, transfers",
    "evaluate_benchmark": "evaluation, benchmarks",
}
"""Folder of `benchmarks/` -> name of the stage, in the order of the pipeline."""


def cost(run: Run) -> str:
    """Tables of stages, and of arms in time and in compute; empty without `benchmarks/`."""
    costs = read_costs(run)
    if run.study.pretraining is None:
        return _stages(costs) if costs else ""
    return "\n".join(filter(None, [_stages(costs), _arms(run, costs), arm_table(run, costs)])) if costs else ""


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
    study, baseline = run.study, run.study.baseline
    first, *arms = arm_costs(run, costs)
    rows = []
    for arm in arms:
        name = study.retraining[arm.encoder].bank
        bank = study.banks.get(name)
        is_generated = bank is not None and bank.is_generated
        diffusion = mean_cost(costs, "train_diffusion", bank.encoder).seconds if is_generated else 0.0
        made_by = [bank_rule(bank), *(["filter_bank"] if bank.filter else [])] if bank else []
        generation = sum(mean_cost(costs, rule, name).seconds for rule in made_by)
        parts = [arm.hours * HOUR, diffusion, generation, arm.total_hours * HOUR]
        rows.append([text(arm.encoder), *(_cell(seconds) for seconds in parts)])
    if not rows:
        return ""
    rows.insert(0, [text(baseline), _cell(first.hours * HOUR), ABSENT, ABSENT, _cell(first.total_hours * HOUR)])
    header = ["arm", "own training", "diffusion model", "bank generation", "total"]
    caption = (
        f"Wall-clock time of each arm for one seed, mean over {count(len(study.seeds), 'seed')}. Total: the arm's own "
        "training with those of the encoders that it needs, of the diffusion model, and the generation of its bank "
        "with its filter."
    )
    return figure(table(header, rows, "numbers"), caption)


def _cell(seconds: float) -> str:
    return ABSENT if math.isnan(seconds) or not seconds else duration(seconds)
