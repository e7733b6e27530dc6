"""Whether the retrained encoder beats the baseline, in sentences, with the values and how they were measured."""

import math

from gensis.figures.caveats import caveats
from gensis.figures.claim import claim
from gensis.figures.markup import count, figure, paragraph, text
from gensis.figures.run import Evaluation, Run
from gensis.figures.scores import Column, Mean, Scores
from gensis.figures.strips import strips
from gensis.settings.roles import UNTRAINED, roles
from gensis.settings.tasks import find_task

_NAMES = {"random": "an untrained encoder", "pixels": "raw pixels", "chance": "chance"}


def answer(run: Run) -> str:
    """The result for each data set and main metric: verdict, values with their chart, and protocol."""
    parts = [_answer(run, dataset, column) for dataset, column in run.scores.main_figures]
    if not parts:
        parts = [paragraph("Nothing was measured: summary.csv has no metric of a k-NN, linear or slide classifier.")]
    return "\n".join([*parts, *external_weights(run.scores), *skipped_tasks(run.evaluations)])


def _answer(run: Run, dataset: str, column: Column) -> str:
    scores, baseline = run.scores, run.study.baseline
    means = {name: scores.mean(name, dataset, column) for name in scores.encoders}
    means = {name: mean for name, mean in means.items() if mean}
    subject = scores.subject if scores.subject in means else baseline if baseline in means else next(iter(means))
    known = {name: called for name, called in _baselines(run, subject).items() if name in means}
    others = [f"{text(called)} {number(means[name])}" for name, called in known.items()]
    compared = f" compared with {_listed(others)}" if others else ""
    tested = _tested(run, column, means[subject])
    question = f"Does {text(subject)} beat {text(baseline)} on <b>{text(dataset)}</b> ({text(column.label)})? "
    question = question if subject != baseline else f"<b>{text(dataset)}</b> ({text(column.label)}). "
    sentence = f'<b class="accent">{text(subject)}</b> {number(means[subject])}{compared}. Tested on {tested}.'
    sentence += _no_better_than_untrained(means, baseline)
    legend = "Dot: value. Line: 95 % interval from resampling the test groups. Dashed line: chance." + (
        "" if means[subject].seeds == 1 else f" Means over {means[subject].seeds} seeds."
    )
    picture = figure(strips(means), legend, "strips")
    return (
        f'<div class="answer"><div>{paragraph(question + claim(run, subject, dataset, column))}{paragraph(sentence)}'
        f"{paragraph(protocol(run, dataset, column), 'note')}</div>{picture}</div>"
    )


def _tested(run: Run, column: Column, mean: Mean) -> str:
    """How many items were tested, and of how many groups where these are fewer."""
    if find_task(column.task).level == "image":
        unit = "image"
    else:
        unit = "group" if run.study.evaluation.bags == "group" else "slide"
    of_groups = f" from {count(mean.n_groups, 'group')}" if unit != "group" and 0 < mean.n_groups < mean.n else ""
    return count(mean.n, unit) + of_groups


def _baselines(run: Run, subject: str) -> dict[str, str]:
    """Encoder -> its name in the sentence: baseline, same compute without a bank, untrained, chance."""
    arms, role = run.study.retraining, roles(run.study)
    matched = [name for name, arm in arms.items() if arm.match_compute == subject and not arm.bank]
    named = {run.study.baseline: run.study.baseline} | {name: f"{name} ({role[name]})" for name in matched} | _NAMES
    return {name: called for name, called in named.items() if name != subject}


def _no_better_than_untrained(means: dict[str, Mean], baseline: str) -> str:
    """A warning where the baseline does not beat an untrained encoder or raw pixels."""
    better = [name for name in UNTRAINED if name in means and baseline in means]
    better = [name for name in better if means[name].value >= means[baseline].value]
    if not better:
        return ""
    named = _listed([_NAMES[name] for name in better])
    return (
        f" <b>{text(baseline)} is no better than {named}:</b> it has learnt so little that a comparison with it shows "
        "little about the method."
    )


def number(mean: Mean) -> str:
    """A value with its interval, if it has one."""
    interval = "" if math.isnan(mean.low + mean.high) else f" <small>[{mean.low:.3f}, {mean.high:.3f}]</small>"
    return f"{mean.value:.3f}{interval}"


def protocol(run: Run, dataset: str, column: Column) -> str:
    """How a metric was measured, and its caveats."""
    found = [e for e in run.evaluations if (e.dataset, e.task) == (dataset, column.task) and not e.skipped]
    names = ", ".join(dict.fromkeys(text(e.protocol) for e in found if e.protocol))
    sentences = [f"Protocol: {names}."] if names else []
    if any(e.transductive for e in found):
        sentences.append("Transductive: the trained encoders saw test images, without labels, in pre-training.")
    return " ".join([*sentences, *caveats(found)])


def external_weights(scores: Scores) -> list[str]:
    """A note for each encoder with external weights."""
    return [
        paragraph(f"{text(encoder)} is based on external weights: {text(weights)}.", "note")
        for encoder, weights in scores.external_weights.items()
    ]


def skipped_tasks(evaluations: list[Evaluation]) -> list[str]:
    """A note for each task that was not measured."""
    lines = dict.fromkeys(
        f"{text(e.task)} was not measured on {text(e.dataset)}: {text(e.skipped)}." for e in evaluations if e.skipped
    )
    return [paragraph(line, "note") for line in lines]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
