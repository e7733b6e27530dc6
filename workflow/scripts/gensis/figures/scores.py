"""The metrics of summary.csv: by column of the tables, averaged over seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from fnmatch import filter as matching
from statistics import fmean, stdev

from gensis.settings.roles import UNTRAINED
from gensis.settings.tasks import TASKS, find_task, variant

LARGEST_K = 20
_KNN = "balanced_accuracy_k"


@dataclass(frozen=True, kw_only=True)
class Score:
    """One line of summary.csv; NaN where a number is absent."""

    encoder: str
    dataset: str
    seed: int
    task: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    n_groups: int = 0
    """Groups that the n items belong to; 0 if not known."""
    external_weights: str = ""
    """External weights that the encoder is based on; empty for none."""


@dataclass(frozen=True)
class Column:
    """One metric of one task, and its name in tables."""

    task: str
    metric: str
    label: str


@dataclass(frozen=True)
class Mean:
    """A metric over all seeds; NaN where there is nothing to average."""

    value: float
    low: float
    high: float
    """Bounds of the 95 % intervals from resampling the test groups, each averaged over seeds."""
    _: KW_ONLY
    deviation: float
    """Standard deviation over seeds."""
    seeds: int
    n: int
    """Test items with one seed."""
    n_groups: int = 0
    """Groups that these belong to; 0 if not known."""


class Scores:
    """All scores of a run."""

    def __init__(self, scores: list[Score], baseline: str, arms: Sequence[str]):
        """Take the lines of summary.csv and the names of the trained encoders, the main arm before other arms."""
        self.all = scores
        self.baseline = baseline
        self.arms = arms

    @property
    def datasets(self) -> list[str]:
        """Data sets of the evaluations."""
        return list(dict.fromkeys(score.dataset for score in self.all))

    @property
    def external_weights(self) -> dict[str, str]:
        """Encoder -> the external weights that it is based on; encoders without are not in it."""
        return {score.encoder: score.external_weights for score in self.all if score.external_weights}

    @property
    def encoders(self) -> list[str]:
        """Encoders with results, in this order: baseline, arms, other encoders, random, pixels, chance."""
        found = dict.fromkeys(score.encoder for score in self.all)
        last = (*UNTRAINED, "chance")
        others = [name for name in found if name not in last]
        in_order = dict.fromkeys((self.baseline, *self.arms, *others, *last))
        return [name for name in in_order if name in found]

    @property
    def subject(self) -> str | None:
        """The retrained encoder that the answer is about: the main arm, or else the first with results."""
        return next((name for name in self.encoders if name in self.arms), None)

    def columns(self, dataset: str) -> list[Column]:
        """The columns of the table of all encoders, without those that have no value."""
        measured = {
            (score.task, score.metric) for score in self.all if score.dataset == dataset and not math.isnan(score.value)
        }
        wanted = []
        for pattern, task in TASKS.items():
            for name in _variants(pattern, {task for task, _ in measured}):
                k = _choose_k([metric for task, metric in measured if task == name])
                wanted += [
                    Column(name, metric.format(k=k), heading.format(k=k, variant=variant(name)))
                    for metric, heading in task.columns.items()
                ]
        return [column for column in wanted if (column.task, column.metric) in measured]

    def main_columns(self, dataset: str) -> list[Column]:
        """The metrics that the answer is about: one of slides and one of single images, as far as they exist.

        Without labels of slides it is about the first target.
        """
        columns = self.columns(dataset)
        by_task = {column.task: column for column in reversed(columns)}
        of_slides = by_task.get("slides-abmil") or by_task.get("slides-dsmil") or by_task.get("slides-mean")
        of_slides = of_slides or next((column for column in columns if find_task(column.task).target), None)
        of_images = by_task.get("knn") or by_task.get("linear")
        return [column for column in (of_slides, of_images) if column]

    @property
    def main_figures(self) -> list[tuple[str, Column]]:
        """Data set and column of all main metrics."""
        return [(dataset, column) for dataset in self.datasets for column in self.main_columns(dataset)]

    def by_seed(self, encoder: str, dataset: str, column: Column) -> dict[int, Score]:
        """Seed -> score, where there is a value."""
        where = (encoder, dataset, column.task, column.metric)
        return {
            score.seed: score
            for score in self.all
            if (score.encoder, score.dataset, score.task, score.metric) == where and not math.isnan(score.value)
        }

    def mean(self, encoder: str, dataset: str, column: Column) -> Mean | None:
        """The mean over seeds; None if there is no value."""
        scores = list(self.by_seed(encoder, dataset, column).values())
        if not scores:
            return None
        values = [score.value for score in scores]
        return Mean(
            value=fmean(values),
            low=_mean_of_present([score.low for score in scores]),
            high=_mean_of_present([score.high for score in scores]),
            deviation=stdev(values) if len(values) > 1 else math.nan,
            seeds=len(values),
            n=max(score.n for score in scores),
            n_groups=max(score.n_groups for score in scores),
        )


def _variants(pattern: str, tasks: Iterable[str]) -> list[str]:
    """Tasks that a name of the registry stands for: targets by name, fractions of the labels by size."""
    found = matching(tasks, pattern)
    return sorted(found) if TASKS[pattern].target else sorted(found, key=lambda name: float(variant(name) or 0))


def _choose_k(metrics: list[str]) -> int:
    """The largest k up to LARGEST_K, or else the smallest; 0 if there is none."""
    ks = sorted(int(metric.removeprefix(_KNN)) for metric in metrics if metric.startswith(_KNN))
    return max((k for k in ks if k <= LARGEST_K), default=ks[0] if ks else 0)


def _mean_of_present(values: list[float]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return fmean(present) if present else math.nan
