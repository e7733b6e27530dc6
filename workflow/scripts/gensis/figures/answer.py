"""What the run says about its question, in sentences, and what may be claimed from it."""

import math
from statistics import fmean

from gensis.figures.markup import count, figure, paragraph, text
from gensis.figures.run import Evaluation, Run
from gensis.figures.scores import Column, Mean, Scores
from gensis.figures.strips import strips

SEEDS_FOR_A_CLAIM = 6  # the fewest with which a two-sided sign test can reach 5 %
_NAMES = {"random": "an untrained encoder", "pixels": "raw pixels", "chance": "chance"}


def answer(run: Run) -> str:
    """One sentence a data set and main metric, each with its picture, and what may be claimed from it."""
    parts = [
        _answer(run, dataset, column) for dataset in run.scores.datasets for column in run.scores.main_columns(dataset)
    ]
    if not parts:
        parts = [paragraph("Nothing was measured: summary.csv has no figures of k-NN, linear or slide classifiers.")]
    return "\n".join([*parts, *_outside(run.scores), *_skipped(run.evaluations)])


def _answer(run: Run, dataset: str, column: Column) -> str:
    scores = run.scores
    means = {name: scores.mean(name, dataset, column) for name in scores.encoders}
    means = {name: mean for name, mean in means.items() if mean}
    subject = scores.subject if scores.subject in means else "dino" if "dino" in means else next(iter(means))
    others = [f"{text(_NAMES.get(name, name))} {number(means[name])}" for name in _baselines(means, subject)]
    against = f" against {_listed(others)}" if others else ""
    tested = count(means[subject].n, "slide" if column.task.startswith("slides-") else "image")
    sentence = (
        f"On <b>{text(dataset)}</b> ({text(column.label)}, {tested} tested), "
        f'<b class="accent">{text(subject)}</b> {number(means[subject])}{against}.'
    )
    claims = [claim(scores, subject, dataset, column), _protocol(run, dataset, column)]
    legend = "Dot: value. Line: 95 % interval. Dashed: chance." + (
        "" if means[subject].seeds == 1 else f" Averages of {means[subject].seeds} seeds."
    )
    picture = figure(strips(means), legend, "strips")
    return f'<div class="answer"><div>{paragraph(sentence)}{paragraph(" ".join(claims), "note")}</div>{picture}</div>'


def _baselines(means: dict[str, Mean], subject: str) -> list[str]:
    return [name for name in ("dino", "random", "pixels", "chance") if name in means and name != subject]


def number(mean: Mean) -> str:
    """A value with its interval, if it has one."""
    interval = "" if math.isnan(mean.low + mean.high) else f" <small>[{mean.low:.3f}, {mean.high:.3f}]</small>"
    return f"{mean.value:.3f}{interval}"


def claim(scores: Scores, subject: str, dataset: str, column: Column) -> str:
    """What the seeds allow to say about the subject against dino."""
    ours, theirs = (scores.by_seed(name, dataset, column) for name in (subject, "dino"))
    shared = sorted(ours.keys() & theirs.keys())
    if subject == "dino" or not shared:
        return "There is no pair of a retrained encoder and dino to compare."
    differences = [ours[seed].value - theirs[seed].value for seed in shared]
    observed = f"{text(subject)} &minus; dino = {fmean(differences):+.3f}"
    if len(shared) < SEEDS_FOR_A_CLAIM:
        return (
            f"{observed}, one run of {count(len(shared), 'seed')}: not evidence of a difference "
            f"(a claim needs at least {SEEDS_FOR_A_CLAIM} seeds)."
        )
    higher = sum(difference > 0 for difference in differences)
    ties = sum(difference == 0 for difference in differences)
    p = sign_test(higher, len(shared) - ties)
    verdict = "evidence of a difference" if p < 0.05 else "not evidence of a difference"
    return (
        f"{observed} on average, higher with {higher} of {len(shared)} seeds "
        f"(two-sided sign test over seeds, p = {p:.3f}, not corrected for several comparisons): "
        f"{verdict} on these images."
    )


def sign_test(higher: int, n: int) -> float:
    """Two-sided p-value of `higher` positive signs of `n` under a fair coin."""
    tail = sum(math.comb(n, k) for k in range(max(higher, n - higher), n + 1)) / 2**n
    return min(1.0, 2 * tail)


def _protocol(run: Run, dataset: str, column: Column) -> str:
    found = [e for e in run.evaluations if (e.dataset, e.task) == (dataset, column.task) and not e.skipped]
    names = ", ".join(dict.fromkeys(text(e.protocol) for e in found if e.protocol))
    sentences = [f"Protocol: {names}."] if names else []
    # Without a test split all images of the data set are trained on; another data set is unseen nonetheless.
    if any(e.transductive for e in found) and dataset == run.study.pretraining.dataset:
        sentences.append("Transductive: the trained encoders saw the test images, unlabelled, in pre-training.")
    return " ".join(sentences)


def _outside(scores: Scores) -> list[str]:
    return [
        paragraph(f"{text(encoder)} goes back to weights trained elsewhere: {text(weights)}.", "note")
        for encoder, weights in scores.outside_weights.items()
    ]


def _skipped(evaluations: list[Evaluation]) -> list[str]:
    lines = dict.fromkeys(
        f"{text(e.dataset)}: {text(e.task)} was not measured: {text(e.skipped)}." for e in evaluations if e.skipped
    )
    return [paragraph(line, "note") for line in lines]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
