"""External encoders compared with each other: accuracy beside cost, and differences from the reference."""

import math
from dataclasses import replace

from gensis.figures.answer import external_weights, number, protocol, skipped_tasks
from gensis.figures.compared import LEVEL, Compared, holm, p_value
from gensis.figures.embedding_costs import EmbeddingCost, embedding_costs
from gensis.figures.forest import Row, forest
from gensis.figures.job_costs import read_costs
from gensis.figures.markup import ABSENT, count, figure, paragraph, table, text
from gensis.figures.run import Run
from gensis.figures.scores import Column

COST_HEADER = ("million parameters", "dimension", "s per 1,000 images", "CPU hours", "GPU hours", "MB of embeddings")
MINUS = "\N{MINUS SIGN}"
Corrected = dict[tuple[str, str, str], Compared]
"""Encoder, data set and task -> difference from the reference in a main metric over the tested items."""


def encoder_comparison(run: Run) -> str:
    """For each data set: what may be claimed, a table of accuracy and cost, and a plot of the differences."""
    found, costs = corrected(run), embedding_costs(run, read_costs(run))
    parts = []
    for dataset in run.scores.datasets:
        columns = run.scores.main_columns(dataset)
        parts += [paragraph(_claim(run, dataset, column, found)) for column in columns]
        protocols = dict.fromkeys(protocol(run, dataset, column) for column in columns)
        parts += [paragraph(each, "note") for each in protocols]
        parts += [_table(run, dataset, columns, found, costs=[each for each in costs if each.dataset == dataset])]
        parts += [_plot(run, dataset, column, found) for column in columns]
    if not parts:
        parts = [paragraph("Nothing was measured: summary.csv has no metric of a k-NN, linear or slide classifier.")]
    return "\n".join(filter(None, [*parts, *external_weights(run.scores), *skipped_tasks(run.evaluations)]))


def corrected(run: Run) -> Corrected:
    """Differences of the first seed over the tested items, corrected for all encoders and main metrics (Holm)."""
    known = {}
    for encoder in run.study.compared:
        for dataset, column in run.scores.main_figures:
            if of_seeds := run.comparisons.over_items((encoder, run.study.reference), dataset, column):
                known[encoder, dataset, column.task] = of_seeds[0]
    tested = [key for key, each in known.items() if not math.isnan(each.p)]
    p = holm([known[key].p for key in tested])
    return known | {key: replace(known[key], family=len(tested), corrected_p=each) for key, each in zip(tested, p)}


def is_evidence(found: Compared) -> bool:
    """Whether a difference may be claimed on these data: by the corrected test, and by the interval if it exists."""
    return found.corrected_p < LEVEL and not found.low <= 0 <= found.high  # there may be no interval


def _claim(run: Run, dataset: str, column: Column, found: Corrected) -> str:
    scores, reference = run.scores, run.study.reference
    means = {name: scores.mean(name, dataset, column) for name in run.study.encoders}
    means = {name: mean for name, mean in means.items() if mean}
    where = f"<b>{text(dataset)}</b> ({text(column.label)})"
    if not means:
        return f"{where}: no encoder was measured."
    best = max(means, key=lambda name: means[name].value)
    known = {name: each for name in run.study.compared if (each := found.get((name, dataset, column.task)))}
    sure = {name: each for name, each in known.items() if is_evidence(each)}
    sentences = [
        f"There is evidence that {text(name)} is {'better' if each.difference > 0 else 'worse'} than {text(reference)} "
        f"({each.difference:+.3f}, corrected {p_value(each.corrected_p)})."
        for name, each in sure.items()
    ]
    if all(math.isnan(each.corrected_p) for each in known.values()):
        sentences = [f"Differences from {text(reference)} were not tested: that needs predicted classes."]
    sentences = sentences or [f"There is no evidence that any encoder differs from {text(reference)}."]
    return f"{where}: highest is {text(best)}, {number(means[best])}. {' '.join(sentences)}"


def _table(run: Run, dataset: str, columns: list[Column], found: Corrected, *, costs: list[EmbeddingCost]) -> str:
    by_encoder = {each.encoder: each for each in costs}
    rows = []
    for name in run.scores.encoders:
        cells = [text(name)]
        for column in columns:
            mean = run.scores.mean(name, dataset, column)
            cells += [number(mean) if mean else ABSENT, _difference(found.get((name, dataset, column.task)))]
        rows.append([*cells, *_cost(by_encoder.get(name))])
    header = [name for column in columns for name in (column.label, f"{MINUS} {run.study.reference}")]
    caption = (
        f"<b>{text(dataset)}: accuracy and cost.</b> Each encoder with its own preprocessing. In brackets and below "
        "differences: 95 % interval from resampling the test groups. p: two-sided sign-flip test over the test groups, "
        "after Holm correction for all encoders and main metrics of the page. Parameters: numbers in the weight file. "
        "Time: wall-clock time of the embedding jobs, with start and reading; GPU hours: their time on a GPU. Times of "
        "jobs that ran on different machines, or beside others, are not comparable. costs.csv has these numbers too. "
        "Whether an encoder learnt from these images, or from others of these patients, is not known here."
    )
    return figure(table(["encoder", *header, *COST_HEADER], rows, "numbers"), caption)


def _difference(found: Compared | None) -> str:
    if found is None:
        return ABSENT
    below = [] if math.isnan(found.low) else [f"{found.low:+.3f} to {found.high:+.3f}"]
    below += [] if math.isnan(found.corrected_p) else [p_value(found.corrected_p)]
    shown = f"<b>{found.difference:+.3f}</b>" if is_evidence(found) else f"{found.difference:+.3f}"
    return shown + "".join(f"<small>{line}</small>" for line in below)


def _cost(found: EmbeddingCost | None) -> list[str]:
    if found is None:
        return [ABSENT] * len(COST_HEADER)
    hours = (found.seconds_per_1000_images, found.cpu_hours, found.gpu_hours, found.megabytes)
    return [_cell(found.parameters / 1e6), f"{found.dimension:,}", *map(_cell, hours)]


def _cell(value: float) -> str:
    return ABSENT if math.isnan(value) else f"{value:,.3g}"


def _plot(run: Run, dataset: str, column: Column, found: Corrected) -> str:
    shown = [each for name in run.study.compared if (each := found.get((name, dataset, column.task)))]
    if not shown:
        return ""
    rows = [
        Row(
            f"{each.encoder} {MINUS} {each.baseline}",
            difference=each.difference,
            low=each.low,
            high=each.high,
            by_seed=(),
            sure=is_evidence(each),
        )
        for each in shown
    ]
    legend = (
        f"Circle: difference over {count(shown[0].n, 'test item')}. Line: 95 % interval from resampling the test "
        "groups. Filled circle: evidence of a difference, by this interval and by the corrected test. Vertical line: "
        "no difference."
    )
    return figure(forest(rows), f"<b>{text(dataset)}: {text(column.label)}.</b> {legend}", "forest")
