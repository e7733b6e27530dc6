"""What plain training gains from more compute. Where it still gains much, banks cannot be judged."""

import math

from gensis.figures.compared import Compared
from gensis.figures.markup import ABSENT, count, figure, paragraph, table, text
from gensis.figures.run import Run
from gensis.figures.scores import Column
from gensis.settings.pretraining import Retraining
from gensis.settings.study import Study

ABOUT_TWICE = (1.5, 2.5)
"""Multiples of the baseline's compute that show whether it has reached its plateau."""
MOST_GAIN = 0.01
"""Gain from about twice the compute up to which the baseline counts as trained long enough: the paper reports gains of
half a point to three points."""


def plateau(run: Run) -> str:
    """Verdict and table of the arms that train longer without a bank; empty if there are none."""
    longer = longer_arms(run)
    if not longer:
        return ""
    figures = run.scores.main_figures
    rows = [
        [text(arm), f"{multiple:.2g}", *(_cell(_gain(run, arm, *where)) for where in figures)]
        for arm, multiple in longer.items()
    ]
    header = ["arm", "compute", *(f"{dataset}: {column.label}" for dataset, column in figures)]
    caption = (
        f"Arms without a bank that differ from {text(run.study.baseline)} in their epochs alone, or go on from it. "
        f"Compute: in multiples of that of {text(run.study.baseline)}, with what they go on from. Gain: mean "
        f"difference over {count(len(run.study.seeds), 'seed')}; "
        "below it: 95 % t interval over seeds."
    )
    return paragraph(_verdict(run)) + figure(table(header, rows, "numbers"), caption)


def warning(run: Run) -> str:
    """A warning where the baseline is far from its plateau; shown where encoders are compared."""
    return paragraph(_verdict(run)) if _steep(run) else ""


def longer_arms(run: Run) -> dict[str, float]:
    """Arms without a bank that only train longer than the baseline -> their compute, in multiples of the baseline's."""
    study = run.study
    multiples = {name: _multiple(study, arm) for name, arm in study.retraining.items() if arm.bank is None}
    return {name: multiple for name, multiple in multiples.items() if multiple > 1}


def _multiple(study: Study, arm: Retraining) -> float:
    """Compute of an arm without a bank, with that of the baseline if it goes on from it; 0 if more differs."""
    if set(arm.differences(study.pretraining)) - {"epochs", "init"}:
        return 0.0
    own = arm.epochs / study.pretraining.epochs
    if arm.init == study.pretraining.init:
        return own
    return own + 1 if arm.init == study.baseline else 0.0


def _about_twice(run: Run) -> list[str]:
    low, high = ABOUT_TWICE
    return [arm for arm, multiple in longer_arms(run).items() if low <= multiple <= high]


def _gain(run: Run, arm: str, dataset: str, column: Column) -> Compared | None:
    return run.comparisons.over_seeds((arm, run.study.baseline), dataset, column)


def _steep(run: Run) -> list[tuple[str, str, Column, Compared]]:
    """Arm, data set, main figure and gain where about twice the compute gains more than a point."""
    found = [
        (arm, *where, gain)
        for arm in _about_twice(run)
        for where in run.scores.main_figures
        if (gain := _gain(run, arm, *where))
    ]
    return [each for each in found if each[-1].difference > MOST_GAIN]


def _verdict(run: Run) -> str:
    baseline, arms = text(run.study.baseline), _about_twice(run)
    if steep := _steep(run):
        gains = "; ".join(
            f"{text(arm)}, with {longer_arms(run)[arm]:.2g} times the compute, gains {_points(gain)} on "
            f"{text(dataset)} ({text(column.label)})"
            for arm, dataset, column, gain in steep
        )
        return (
            f"<b>{baseline} has not reached its plateau: banks cannot be judged at this length.</b> {gains}, without "
            "any bank. First train longer (<code>pretraining.epochs</code>), until twice the compute gains less than "
            "a point."
        )
    if not arms or not any(_gain(run, arm, *where) for arm in arms for where in run.scores.main_figures):
        return (
            f"No arm without a bank was measured with about twice the compute of {baseline} "
            f"({ABOUT_TWICE[0]} to {ABOUT_TWICE[1]} times), so it is not known whether it has reached its plateau."
        )
    return f"{baseline} is near its plateau: about twice the compute gains at most one point in any main figure."


def _points(gain: Compared) -> str:
    """A gain in points, with its interval over seeds."""
    interval = "" if math.isnan(gain.low) else f" (95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    return f"{100 * gain.difference:.1f} points{interval}"


def _cell(gain: Compared | None) -> str:
    if gain is None:
        return ABSENT
    interval = "" if math.isnan(gain.low) else f"<small>{gain.low:+.3f} to {gain.high:+.3f}</small>"
    return f"{gain.difference:+.3f}{interval}"
