"""Caveats of a metric that its value does not show: which images were tested, and from how few groups."""

from collections.abc import Iterator, Sequence

from gensis.figures.markup import count, text
from gensis.figures.run import Evaluation
from gensis.settings.tasks import find_task

FEW_GROUPS = 8
"""With this many groups, 95 % intervals cover the true value in more than 90 % of cases (benchmarks/coverage.py)."""


def caveats(evaluations: Sequence[Evaluation], named: bool = False) -> list[str]:
    """Each sentence once, as HTML.

    Args:
        evaluations: of one data set.
        named: whether each sentence starts with the tasks that it is about.
    """
    tasks: dict[str, list[str]] = {}
    for each in evaluations:
        for sentence in _of(each) if not each.skipped else ():
            tasks.setdefault(sentence, []).append(text(each.task))
    if not named:
        return list(tasks)
    return [f"{', '.join(dict.fromkeys(of_tasks))}: {sentence}" for sentence, of_tasks in tasks.items()]


def _of(found: Evaluation) -> Iterator[str]:
    if found.unlabelled_test:
        yield "No image of the test split has a label: training images were tested instead, by cross-validation."
    if found.unlearnt_classes:
        classes = ", ".join(map(text, found.unlearnt_classes))
        done = "counted, although no classifier can predict them" if find_task(found.task).is_fitted else "left out"
        yield f"Test classes without a training item: {classes} ({done})."
    if 0 < found.n_groups < FEW_GROUPS:
        groups = count(found.n_groups, "group")
        yield (
            f"Only <b>{groups}</b>: 95 % intervals from so few groups cover the true value less often than in 95 % of "
            "cases (simulated: 84 to 92 % with five groups, 66 to 79 % with three)."
        )
    if found.n_ungrouped:
        which = "" if found.n_ungrouped == found.n else f" for {found.n_ungrouped:,} of {found.n:,} test items"
        yield f"No group (patient, case) is given{which}: their slides, or single images, count as independent."
