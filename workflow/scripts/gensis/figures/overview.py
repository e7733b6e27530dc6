"""Overview of the run: stages with their counts, data sets, trainings."""

from gensis.figures.markup import ABSENT, count, figure, paragraph, table, text
from gensis.figures.run import Run, Training
from gensis.progress import duration
from gensis.settings.roles import method


def overview(run: Run) -> str:
    """The stages, then a table of data sets and one of trainings."""
    return "\n".join([_chain(run), datasets(run), _trainings(run.trainings)])


def _chain(run: Run) -> str:
    retrained = [t for t in run.trainings if t.stage == "encoder" and t.name != run.study.baseline]
    stages = [
        ("images", _images(run)),
        (f"{method(run.study)} encoder", _steps(run, "encoder", run.study.baseline)),
        ("autoencoder", _steps(run, "autoencoder")),
        ("diffusion model", _steps(run, "diffusion")),
        ("bank", _bank(run)),
        ("retraining", list(dict.fromkeys(f"{t.name}: {count(t.steps, 'step')}" for t in retrained))),
        ("evaluation", [", ".join(dict.fromkeys(score.task for score in run.scores.all))]),
    ]
    boxes = "".join(
        f"<li><b>{text(name)}</b>{''.join(f'<span>{text(line)}</span>' for line in lines)}</li>"
        for name, lines in stages
        if any(lines)
    )
    seeds = len(run.study.seeds)
    note = f"Each stage after the images was run once for each of {seeds} seeds." if seeds > 1 else "One seed."
    shared = [f"{text(name)}: seed {bank.seed}" for name, bank in run.study.banks.items() if bank.seed is not None]
    if shared and seeds > 1:
        note += f" Exception: all seeds share one bank ({', '.join(shared)}), with its encoder and diffusion model."
    return f'<ol class="chain">{boxes}</ol>' + paragraph(note, "note")


def _images(run: Run) -> list[str]:
    dataset = run.dataset(run.study.pretraining.dataset)
    if dataset is None:
        return []
    train = f"{count(len(dataset.train), 'training image')}" if dataset.train else ""
    return [dataset.name, train] if train else [dataset.name]


def _steps(run: Run, stage: str, name: str | None = None) -> list[str]:
    found = [t for t in run.trainings if t.stage == stage and name in (None, t.name)]
    return list(dict.fromkeys(count(t.steps, "step") for t in found))


def _bank(run: Run) -> list[str]:
    lines = []
    for name in dict.fromkeys(bank.name for bank in run.banks):
        bank = next(bank for bank in run.banks if bank.name == name)
        counts = {kind: bank.count(kind) for kind in ("generative", "interpolated")}
        counts = counts if bank.kind == "generated" else {f"real images ({bank.kind})": counts["generative"]}
        lines.append(f"{name}: {', '.join(f'{number:,} {kind}' for kind, number in counts.items())}")
    return lines


def datasets(run: Run) -> str:
    """A table of the data sets and the outcomes of their units."""
    if not run.datasets:
        return paragraph(f"{text(run.images_folder)} has no data set of this run.", "note")
    rows = [
        [
            text(dataset.name),
            text(dataset.kind),
            f"{len(dataset.units):,}",
            f"{dataset.images:,}",
            f"{len(dataset.train):,}" if dataset.train else ABSENT,
            ", ".join(f"{number:,} {text(outcome)}" for outcome, number in dataset.outcomes.most_common()),
        ]
        for dataset in run.datasets
    ]
    header = ["data set", "kind", "units", "images", "training images", "outcomes of units"]
    return figure(table(header, rows), "Data sets. A unit is a slide, or a shard of single images.")


def _trainings(trainings: list[Training]) -> str:
    if not trainings:
        return ""
    rows = [
        [
            text(f"{t.stage} {t.name}".strip()),
            str(t.seed),
            f"{t.steps:,}" if t.steps else ABSENT,
            f"{t.history['loss'][-1]:.4g}" if t.history.get("loss") else ABSENT,
            duration(t.provenance["seconds"]) if "seconds" in t.provenance else ABSENT,
            text(t.provenance["device"]) if "device" in t.provenance else ABSENT,
        ]
        for t in trainings
    ]
    header = ["training", "seed", "steps", "last loss", "time", "device"]
    return figure(
        table(header, rows, "numbers"), "Trainings. If a training was resumed, the time is that of its last job only."
    )
