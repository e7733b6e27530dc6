"""What is to be known of figures that they do not show: what was tested in place of what, and how many groups."""

from collections.abc import Iterator, Sequence

from gensis.figures.markup import count, text
from gensis.figures.run import Evaluation

FEW_GROUPS = 8
"""Groups from which on an interval holds the truth in more than 90 % of cases (benchmarks/coverage.py)."""


def caveats(evaluations: Sequence[Evaluation], named: bool = False) -> list[str]:
    """Each sentence once, as HTML.

    Args:
        evaluations: of one data set.
        named: whether the tasks stand before what is said of them.
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
        yield "No image of the test split has a label, so training images were tested, by folds."
    if found.unlearnt_classes:
        classes = ", ".join(map(text, found.unlearnt_classes))
        done = "left out" if "retrieval" in found.task else "counted, though no encoder can tell it right"
        yield f"Tested, but in no training part: {classes}; {done}."
    if 0 < found.n_groups < FEW_GROUPS:
        groups = count(found.n_groups, "group")
        yield (
            f"<b>{groups}</b> alone: 95 % intervals of so few hold the truth less often than they say (simulated: in "
            "84 to 92 % of cases with five groups, in 66 to 79 % with three)."
        )
    if found.n_ungrouped:
        whose = "" if found.n_ungrouped == found.n else f" of {found.n_ungrouped:,} of {found.n:,} tested"
        yield f"No group (patient, case){whose} is named: their slides, or single images, count as independent."
