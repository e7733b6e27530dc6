"""The figures of summary.csv: by column of the tables, averaged over seeds."""

import math
from dataclasses import dataclass
from statistics import fmean, stdev

LARGEST_K = 20
_KNN = "balanced_accuracy_k"
_SLIDE_CLASSIFIERS = {"mean": "mean", "abmil": "attention", "dsmil": "two streams"}
_SLIDE_METRICS = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "quadratic_kappa": "quadratic kappa"}


@dataclass(frozen=True)
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
    """Weights trained elsewhere that the encoder goes back to; empty for none."""


@dataclass(frozen=True)
class Column:
    """One metric of one task, and how people call it."""

    task: str
    metric: str
    label: str


@dataclass(frozen=True)
class Mean:
    """A metric over all seeds; NaN where there is nothing to average."""

    value: float
    low: float
    high: float
    """Ends of the 95 % intervals that come from resampling the tested groups, each averaged over seeds."""
    deviation: float
    """Standard deviation over seeds."""
    seeds: int
    n: int
    """Items tested with one seed."""
    n_groups: int = 0
    """Groups that these belong to; 0 if not known."""


class Scores:
    """All scores of a run."""

    def __init__(self, scores: list[Score], retrained: list[str], main_arm: str | None = None):
        """Take the lines of summary.csv, the retrained encoders in the config's order, and the main one of them."""
        self.all = scores
        self.retrained = retrained
        self.main_arm = main_arm

    @property
    def datasets(self) -> list[str]:
        """Data sets that were measured on."""
        return list(dict.fromkeys(score.dataset for score in self.all))

    @property
    def external_weights(self) -> dict[str, str]:
        """Encoder -> the weights trained elsewhere that it goes back to; others are not in it."""
        return {score.encoder: score.external_weights for score in self.all if score.external_weights}

    @property
    def encoders(self) -> list[str]:
        """dino, the main arm, other arms, other encoders, random, pixels, chance: those that were measured."""
        found = dict.fromkeys(score.encoder for score in self.all)
        last = ("random", "pixels", "chance")
        others = [name for name in found if name not in last]
        in_order = dict.fromkeys(("dino", self.main_arm, *self.retrained, *others, *last))
        return [name for name in in_order if name in found]

    @property
    def subject(self) -> str | None:
        """The retrained encoder that the answer is about: the main arm, or else the first that was measured."""
        return next((name for name in self.encoders if name in self.retrained), None)

    def columns(self, dataset: str) -> list[Column]:
        """The columns of the table of all encoders that have a value."""
        measured = {(score.task, score.metric) for score in self.all if score.dataset == dataset}
        k = _choose_k([metric for task, metric in measured if task == "knn"])
        low_label = {task for task, _ in measured if task.startswith("linear-") and task.endswith("pct")}
        parts = sorted((task.removeprefix("linear-").removesuffix("pct") for task in low_label), key=float)
        wanted = [
            Column("knn", f"{_KNN}{k}", f"k-NN, k = {k}, balanced accuracy"),
            Column("linear", "balanced_accuracy", "linear, balanced accuracy"),
            Column("linear-sgd", "balanced_accuracy", "linear, DINO's protocol, balanced accuracy"),
            *(Column(f"linear-{part}pct", "balanced_accuracy", f"linear, {part} % of labels") for part in parts),
            Column("retrieval", "average_precision", "retrieval, mean average precision"),
            Column("corruptions", "knn_accuracy", "corrupted images, k-NN, accuracy"),
            Column("corruptions", "linear_accuracy", "corrupted images, linear, accuracy"),
            *(
                Column(f"slides-{classifier}", metric, f"slides by {means}, {called}")
                for classifier, means in _SLIDE_CLASSIFIERS.items()
                for metric, called in _SLIDE_METRICS.items()
            ),
            Column("slides-retrieval", "average_precision", "retrieval of slides, mean average precision"),
        ]
        return [column for column in wanted if (column.task, column.metric) in measured]

    def main_columns(self, dataset: str) -> list[Column]:
        """What the answer speaks of: one metric of slides and one of single images, those of the two that exist."""
        by_task = {column.task: column for column in reversed(self.columns(dataset))}
        of_slides = by_task.get("slides-abmil") or by_task.get("slides-dsmil") or by_task.get("slides-mean")
        of_images = by_task.get("knn") or by_task.get("linear")
        return [column for column in (of_slides, of_images) if column]

    @property
    def main_figures(self) -> list[tuple[str, Column]]:
        """The main columns of all data sets."""
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


def _choose_k(metrics: list[str]) -> int:
    """The largest k up to LARGEST_K, or else the smallest there is; 0 if there is none."""
    ks = sorted(int(metric.removeprefix(_KNN)) for metric in metrics if metric.startswith(_KNN))
    return max((k for k in ks if k <= LARGEST_K), default=ks[0] if ks else 0)


def _mean_of_present(values: list[float]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return fmean(present) if present else math.nan
