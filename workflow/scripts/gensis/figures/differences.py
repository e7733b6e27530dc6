"""Differences between encoders: forest plots of the main metrics, and a table of all metrics of the report."""

import math

from gensis.figures.compared import Compared, p_value, seeds_for_a_claim
from gensis.figures.forest import Row, forest
from gensis.figures.markup import ABSENT, count, figure, table, text
from gensis.figures.run import Run
from gensis.figures.scores import Column
from gensis.settings.roles import UNTRAINED

SEEDS_FOR_A_TEST = seeds_for_a_claim(1)
MINUS = "\N{MINUS SIGN}"


def differences(run: Run) -> str:
    """Plots and table of each data set; empty where no encoders were compared."""
    parts = []
    for dataset in run.scores.datasets:
        plots = "".join(_plot(run, dataset, column) for column in run.scores.main_columns(dataset))
        if plots:
            parts += [f'<div class="forests">{plots}</div>', _table(run, dataset)]
    return "\n".join(parts)


def _plot(run: Run, dataset: str, column: Column) -> str:
    pairs, family = run.comparisons.pairs(dataset), run.scores.main_figures
    found = [run.comparisons.main_figure(pair, dataset, column, family) for pair in pairs]
    found = [
        each for each in found if each and each.encoder not in UNTRAINED
    ]  # their large differences would compress the scale
    if not found:
        return ""
    legend = _legend(max(each.n for each in found), max(each.family for each in found))
    drawn = forest([_row(run, each, column) for each in found])
    return figure(drawn, f"<b>{text(dataset)}: {text(column.label)}.</b> {legend}", "forest")


def _row(run: Run, found: Compared, column: Column) -> Row:
    ours, theirs = (run.scores.by_seed(name, found.dataset, column) for name in found.pair)
    by_seed = [ours[seed].value - theirs[seed].value for seed in sorted(ours.keys() & theirs.keys())]
    shown = found
    if found.n == 1:
        shown = next(iter(run.comparisons.over_items(found.pair, found.dataset, column)), found)
    label = f"{found.encoder} {MINUS} {found.baseline}"
    return Row(
        label, difference=found.difference, low=shown.low, high=shown.high, by_seed=by_seed, sure=found.is_evidence
    )


def _legend(seeds: int, figures: int) -> str:
    if seeds == 1:
        return (
            "Circle: difference with the only seed. Line: 95 % interval over the test items alone; another seed could "
            "give another sign. Vertical line: no difference."
        )
    corrected = f" after Holm correction for {figures} main metrics" if figures > 1 else ""
    return (
        f"Circle: mean difference over {seeds} seeds. Small dots: single seeds. Line: 95 % t interval over seeds, on "
        "these test items. Filled circle: evidence of a difference, by this interval and by a sign-flip "
        f"test{corrected}; that takes at least {seeds_for_a_claim(figures)} seeds. "
        "Each pair is tested by itself: of twenty pairs without any difference, one is filled by chance. Vertical "
        "line: no difference."
    )


def _table(run: Run, dataset: str) -> str:
    columns = run.scores.columns(dataset)
    rows = [
        [
            text(f"{pair[0]} {MINUS} {pair[1]}"),
            *(_cell(run.comparisons.over_seeds(pair, dataset, column)) for column in columns),
            _class_consistency(run, pair[0]),
        ]
        for pair in run.comparisons.pairs(dataset)
    ]
    caption = (
        f"<b>{text(dataset)}: mean differences over seeds.</b> Below each: 95 % t interval over seeds and, from "
        f"{SEEDS_FOR_A_TEST} seeds on, the p-value of a two-sided sign-flip test, not corrected for multiple "
        "comparisons. Class consistency: of the first encoder's bank, relative to real images; below 0.9 (our rule of "
        "thumb) a bank may harm. comparisons.csv also has the differences over test items for each seed; they say "
        "nothing about other seeds."
    )
    return figure(table(["pair", *(column.label for column in columns), "class consistency"], rows, "numbers"), caption)


def _cell(found: Compared | None) -> str:
    if found is None:
        return ABSENT
    below = [] if math.isnan(found.low) else [f"{found.low:+.3f} to {found.high:+.3f}"]
    below += [count(found.n, "seed")] if math.isnan(found.p) else [p_value(found.p)]
    return f"{found.difference:+.3f}" + "".join(f"<small>{line}</small>" for line in below)


def _class_consistency(run: Run, encoder: str) -> str:
    """Class consistency of the bank of an encoder, mean over its seeds."""
    ratio = run.class_consistency(encoder)
    return ABSENT if math.isnan(ratio) else f"{ratio:.2f}"
