"""Tables of all encoders and metrics."""

import math

from gensis.figures.caveats import caveats
from gensis.figures.markup import ABSENT, count, details, figure, paragraph, table, text
from gensis.figures.run import Run
from gensis.figures.scores import Column, Mean, Scores
from gensis.settings.roles import roles


def all_encoders(run: Run) -> str:
    """A table for each data set: metrics, averaged over seeds; in the caption what the encoders are, and caveats."""
    scores = run.scores
    several = any(mean.deviation > 0 for mean in _means(scores))
    caption = "High is good in all columns. Below each value: 95 % interval from resampling the test groups" + (
        ", mean over seeds, and ± standard deviation over seeds. " if several else ". "
    )
    caption += (
        "Chance: accuracy of always predicting the most common training class; 1 / number of classes for balanced "
        "accuracy, 0.5 for AUROC and concordance, 0 for kappa, a random order for retrieval, the mean of the training "
        "items for R\N{SUPERSCRIPT TWO}, masks that stay in place for video segmentation. Last row: numbers of test "
        "items and of their groups."
    )
    caption += "".join(
        f" {text(name)}: {text(role)}." for name, role in roles(run.study).items() if name in scores.encoders
    )
    tables = []
    for dataset in scores.datasets:
        notes = " ".join(caveats([each for each in run.evaluations if each.dataset == dataset], named=True))
        tables.append(figure(_table(scores, dataset), f"<b>{text(dataset)}.</b> {caption} {notes}".strip()))
    return "\n".join(tables) or paragraph("summary.csv is empty: nothing was measured.", "note")


def _means(scores: Scores) -> list[Mean]:
    found = (
        scores.mean(encoder, dataset, column)
        for dataset in scores.datasets
        for column in scores.columns(dataset)
        for encoder in scores.encoders
    )
    return [mean for mean in found if mean]


def _table(scores: Scores, dataset: str) -> str:
    columns = scores.columns(dataset)
    mark = "<small>external weights</small>"
    rows = [
        [
            text(encoder) + mark * (encoder in scores.external_weights),
            *(_cell(scores.mean(encoder, dataset, column)) for column in columns),
        ]
        for encoder in scores.encoders
    ]
    tested = ["test items", *(_tested(scores, dataset, column) for column in columns)]
    return table(["encoder", *(column.label for column in columns)], [*rows, tested], "numbers")


def _tested(scores: Scores, dataset: str, column: Column) -> str:
    """Number of test items and of their groups."""
    mean = next(filter(None, (scores.mean(encoder, dataset, column) for encoder in scores.encoders)))
    groups = count(mean.n_groups, "group") if mean.n_groups else ""
    return f"{mean.n:,}" + f"<small>{groups}</small>" * bool(groups)


def _cell(mean: Mean | None) -> str:
    if mean is None:
        return ABSENT
    below = [] if math.isnan(mean.low + mean.high) else [f"{mean.low:.3f} to {mean.high:.3f}"]
    if mean.deviation > 0:  # not for a single seed (NaN), nor for values that are equal in all seeds, such as chance
        below.append(f"± {mean.deviation:.3f}")
    return f"{mean.value:.3f}" + "".join(f"<small>{line}</small>" for line in below)


def all_figures(scores: Scores) -> str:
    """All lines of summary.csv, collapsed."""
    if not scores.all:
        return ""
    rows = [
        [
            text(score.encoder),
            text(score.dataset),
            str(score.seed),
            text(score.task),
            text(score.metric),
            *(_number(value) for value in (score.value, score.low, score.high)),
            f"{score.n:,}",
            f"{score.n_groups:,}" if score.n_groups else ABSENT,
        ]
        for score in scores.all
    ]
    header = ["encoder", "data set", "seed", "task", "metric", "value", "low", "high", "n", "groups"]
    return details(f"All {len(rows)} values of summary.csv", table(header, rows, "numbers"))


def _number(value: float) -> str:
    return ABSENT if math.isnan(value) else f"{value:.4f}"
