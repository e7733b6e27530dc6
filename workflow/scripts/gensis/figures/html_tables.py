"""The figures of all encoders as tables."""

import math
from collections.abc import Sequence

from gensis.figures.caveats import caveats
from gensis.figures.markup import ABSENT, count, details, figure, paragraph, table, text
from gensis.figures.run import Evaluation
from gensis.figures.scores import Column, Mean, Scores


def all_encoders(scores: Scores, evaluations: Sequence[Evaluation] = ()) -> str:
    """A table a data set: the metrics that matter, averaged over seeds, and what is to be known of them."""
    several = any(mean.deviation > 0 for mean in _means(scores))
    caption = "Below each value: 95 % interval from resampling the tested groups" + (
        ", averaged over seeds, and ± standard deviation over seeds. " if several else ". "
    )
    caption += (
        "Chance: the commonest class of train for every item; 1 / classes for balanced accuracy, 0.5 for AUROC, "
        "0 for kappa, a random order for retrieval."
    )
    tables = []
    for dataset in scores.datasets:
        said = " ".join(caveats([each for each in evaluations if each.dataset == dataset], named=True))
        tables.append(figure(_table(scores, dataset), f"<b>{text(dataset)}.</b> {caption} {said}".strip()))
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
    tested = ["tested", *(_tested(scores, dataset, column) for column in columns)]
    return table(["encoder", *(column.label for column in columns)], [*rows, tested], "numbers")


def _tested(scores: Scores, dataset: str, column: Column) -> str:
    """How many items, and of how many groups."""
    mean = next(filter(None, (scores.mean(encoder, dataset, column) for encoder in scores.encoders)))
    groups = count(mean.n_groups, "group") if mean.n_groups else ""
    return f"{mean.n:,}" + f"<small>{groups}</small>" * bool(groups)


def _cell(mean: Mean | None) -> str:
    if mean is None:
        return ABSENT
    below = [] if math.isnan(mean.low + mean.high) else [f"{mean.low:.3f} to {mean.high:.3f}"]
    if mean.deviation > 0:  # neither a single seed (NaN) nor what no seed changes, such as chance
        below.append(f"± {mean.deviation:.3f}")
    return f"{mean.value:.3f}" + "".join(f"<small>{line}</small>" for line in below)


def all_figures(scores: Scores) -> str:
    """Every line of summary.csv, folded away."""
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
    return details(f"All {len(rows)} figures", table(header, rows, "numbers"))


def _number(value: float) -> str:
    return ABSENT if math.isnan(value) else f"{value:.4f}"
