"""Compute of each encoder: forward passes, which do not depend on the machine, and CPU and GPU hours."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

from gensis.figures.job_costs import Costs, mean_cost, sum_costs
from gensis.figures.markup import ABSENT, count, figure, table, text
from gensis.figures.run import Run
from gensis.settings.bank import Bank
from gensis.settings.compute import FORWARD_AND_BACKWARD
from gensis.settings.study import Study

HOUR, MILLION = 3600, 1e6


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """Compute of an encoder for one seed: of its own training, and in total with all that it needs. NaN if unknown."""

    encoder: str
    forward_passes: float
    """See `settings.compute`."""
    total_forward_passes: float
    """Of its own training and those of the encoders that its bank or its start need."""
    total_denoiser_passes: float
    """Images times forward passes of a denoiser: in the training of diffusion models and in the generation of banks."""
    hours: float
    total_hours: float
    cpu_hours: float
    """CPU time."""
    total_cpu_hours: float
    gpu_hours: float
    """Wall-clock time of jobs on a GPU."""
    total_gpu_hours: float


def arm_costs(run: Run, costs: Costs) -> list[ArmCost]:
    """Compute of the baseline and of each arm."""
    return [_arm_cost(run, costs, name) for name in run.study.trained_encoders]


def _arm_cost(run: Run, costs: Costs, encoder: str) -> ArmCost:
    study = run.study
    trained, banks = _needed(study, encoder)
    generated = [name for name in banks if study.banks[name].is_generated]
    models = dict.fromkeys(study.banks[name].encoder for name in generated)
    jobs = [(_stage(study, name), name) for name in trained]
    jobs += [("train_diffusion", name) for name in models]
    jobs += [(bank_rule(study.banks[name]), name) for name in banks]
    jobs += [("filter_bank", name) for name in banks if study.banks[name].filter]
    own, total = mean_cost(costs, _stage(study, encoder), encoder), sum_costs(mean_cost(costs, *job) for job in jobs)
    denoised = len(models) * study.diffusion.steps * study.diffusion.batch_size * FORWARD_AND_BACKWARD
    return ArmCost(
        encoder=encoder,
        forward_passes=_forward_passes(run, encoder),
        total_forward_passes=sum(_forward_passes(run, name) for name in trained),
        total_denoiser_passes=denoised + sum(_generation_passes(run, name) for name in generated),
        hours=own.seconds / HOUR,
        total_hours=total.seconds / HOUR,
        cpu_hours=own.processor_seconds / HOUR,
        total_cpu_hours=total.processor_seconds / HOUR,
        gpu_hours=own.gpu_seconds / HOUR,
        total_gpu_hours=total.gpu_seconds / HOUR,
    )


def _needed(study: Study, encoder: str) -> tuple[list[str], list[str]]:
    """Trained encoders, the given one last, and banks that an encoder needs, directly or through others."""
    if encoder not in study.trained_encoders:  # external
        return [], []
    settings, encoders, banks = study.training_settings(encoder), [], []
    bank = study.banks.get(getattr(settings, "bank", None))
    for before in (settings.init, bank.encoder if bank and bank.kind != "sources" else None):
        of_encoders, of_banks = _needed(study, before) if before else ([], [])
        encoders, banks = encoders + of_encoders, banks + of_banks
    banks += [settings.bank] if bank else []
    return list(dict.fromkeys([*encoders, encoder])), list(dict.fromkeys(banks))


def bank_rule(bank: Bank) -> str:
    """The rule that makes a bank."""
    return "generate_bank" if bank.is_generated else "copy_bank"


def _stage(study: Study, encoder: str) -> str:
    return "pretrain_encoder" if encoder == study.baseline else "retrain_encoder"


def _images(run: Run) -> float:
    dataset = run.dataset(run.study.pretraining.dataset)
    return len(dataset.train) if dataset and dataset.train else math.nan


def _forward_passes(run: Run, encoder: str) -> float:
    settings, images = run.study.training_settings(encoder), _images(run)
    batch = min(settings.batch_size, images)
    return run.study.passes(encoder) * settings.epochs * (images // batch) * batch


def _generation_passes(run: Run, name: str) -> float:
    bank = run.study.banks[name]
    return _images(run) * bank.images_per_source * bank.evaluations()


COLUMNS = tuple(field.name for field in fields(ArmCost))
"""Columns of costs.csv."""


def csv_rows(run: Run, costs: Costs) -> Iterator[list[object]]:
    """Rows of costs.csv; unknown numbers are empty."""
    for found in arm_costs(run, costs):
        name, *numbers = asdict(found).values()
        yield [name, *("" if math.isnan(number) else round(number, 6) for number in numbers)]


def arm_table(run: Run, costs: Costs) -> str:
    """A table of forward passes and hours; GPU hours only if a job ran on a GPU."""
    found = arm_costs(run, costs)
    hours = ["cpu_hours", "total_cpu_hours"]
    hours += ["gpu_hours", "total_gpu_hours"] if any(each.total_gpu_hours > 0 for each in found) else []
    passes = [name for name in COLUMNS if name.endswith("passes")]
    rows = [
        [
            text(each.encoder),
            *(_cell(getattr(each, name) / MILLION) for name in passes),
            *(_cell(getattr(each, name)) for name in hours),
        ]
        for each in found
    ]
    header = [f"{name.replace('_', ' ')}, millions" for name in passes]
    header += [name.replace("_", " ").replace("cpu", "CPU").replace("gpu", "GPU") for name in hours]
    caption = (
        f"<b>Compute of each encoder</b> for one seed; hours are means over {count(len(run.study.seeds), 'seed')}. "
        "A forward pass of one image counts 1, as one global view of it does, and a backward pass 2. Total: with all "
        "encoders, diffusion models and banks that the arm needs. Denoiser passes, of a diffusion model, have another "
        "cost each: those of its training and of the bank's images (at most, where guidance has an interval). CPU "
        "hours: processor time. GPU hours: time of jobs on a GPU, to be multiplied where a job has several. "
        "costs.csv has these numbers too."
    )
    return figure(table(["encoder", *header], rows, "numbers"), caption)


def _cell(number: float) -> str:
    return ABSENT if math.isnan(number) else f"{number:.3g}"
