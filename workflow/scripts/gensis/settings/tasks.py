"""Registry of the evaluation tasks: what planning, report and verification must know of each.

It imports no task: the job imports the module of a task when it measures it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from gensis.errors import UserError
from gensis.settings.targets import Kind

Level = Literal["image", "slide", "benchmark"]
FurtherInput = Literal["corrupted", "last_blocks", "targets"]


@dataclass(frozen=True)
class Task:
    """An evaluation task, as far as planning knows it."""

    level: Level
    """What is tested: single images of a data set, bags of the images of a slide (or of a group, with
    `evaluation.bags`), or what a benchmark with its own files defines."""
    module: str
    """Module with its function ``measure(data: TaskData) -> Measured`` (gensis.evaluation.measured), for a benchmark
    ``measure(data: BenchmarkData) -> Items`` (gensis.evaluation.benchmark)."""
    metrics: tuple[str, ...]
    """Names of its metrics in the order of the result, without suffixes such as `_k20` or `_blur`."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Metrics in the report's table of all encoders -> heading. `{k}` is a number of neighbours, `{variant}` what the
    `*` of the task's name stands for."""
    _: KW_ONLY
    switch: str = ""
    """Sentence on its own key of `evaluation`: false by default, and named like the task, with `_` for `-`."""
    when: Callable[[Any], Any] | None = None
    """Without an own key: function of the settings, true or not empty if the task runs; for a name with `*`, the names
    of the tasks that run."""
    reads: tuple[str, ...] = ()
    """Keys of `evaluation` that change its results, besides those that tasks of its level have in common."""
    inputs: tuple[FurtherInput, ...] = ()
    """What it needs besides labelled embeddings: embeddings of corrupted test images, the last blocks of images and
    their mirror images, or labels for targets."""
    target: Kind | None = None
    """The kind of targets that it predicts, which the `*` of its name stands for; None: labels."""
    is_fitted: bool = True
    """Whether it learns from training items. Otherwise each item is compared with the items of all other groups, and
    items whose class no other item has are left out."""
    has_attention: bool = False
    """Whether it gives each image of a slide a weight, for attention.h5."""

    @property
    def common_keys(self) -> tuple[str, ...]:
        """Keys of `evaluation` that all tasks of its level read."""
        return ("ordered_classes", "folds", "bootstrap", *(["bags"] if self.level == "slide" else []))


_VOTES = ("accuracy", "balanced_accuracy")  # votes have too many ties for ranking metrics
_PROBABILITIES = (*_VOTES, "macro_f1", "auroc")
_OF_SLIDES = (*_PROBABILITIES, "quadratic_kappa")
_RANKING = ("average_precision", "precision")
_OF_NUMBERS = ("r2", "pearson", "mae")
_MIL = ("mil_epochs", "mil_learning_rate", "mil_seeds", "mil_batch_size")


def _has(task: str) -> Callable[[Any], bool]:
    """Whether a benchmark of the settings has this task."""
    return lambda evaluation: any(benchmark.task == task for benchmark in evaluation.benchmarks.values())


def _slide_columns(method: str) -> dict[str, str]:
    names = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "quadratic_kappa": "quadratic weighted kappa"}
    return {metric: f"{method} on slides, {name}" for metric, name in names.items()}


def _of_targets(module: str, kind: Kind, method: str, *, names: tuple[str, ...], columns: dict[str, str]) -> Task:
    """A task that predicts targets of a kind: `method` is one of `evaluation.slides`."""
    return Task(
        "slide",
        f"gensis.evaluation.tasks.{module}",
        names,
        {metric: f"{{variant}}: {heading}" for metric, heading in columns.items()},
        when=lambda evaluation: method in evaluation.slides,
        reads=() if method == "mean" else _MIL,
        inputs=("targets",),
        target=kind,
        has_attention=method != "mean",
    )


def _classes(module: str, method: str, called: str) -> Task:
    return _of_targets(module, "classification", method, names=_OF_SLIDES, columns=_slide_columns(called))


def _survival(module: str, method: str, called: str) -> Task:
    columns = {"concordance": f"{called} on slides, concordance"}
    return _of_targets(module, "survival", method, names=("concordance",), columns=columns)


def _regression(module: str, method: str, called: str) -> Task:
    return _of_targets(module, "regression", method, names=_OF_NUMBERS, columns={"r2": f"{called} on slides, R²"})


TASKS: dict[str, Task] = {
    "knn": Task(
        "image",
        "gensis.evaluation.tasks.knn",
        _VOTES,
        {"balanced_accuracy_k{k}": "k-NN, k = {k}, balanced accuracy"},
        when=lambda evaluation: evaluation.knn,
        reads=("knn", "knn_temperature"),
    ),
    "linear": Task(
        "image",
        "gensis.evaluation.tasks.linear",
        _PROBABILITIES,
        {"balanced_accuracy": "linear probe, balanced accuracy"},
        when=lambda evaluation: evaluation.linear,
    ),
    "linear-sgd": Task(
        "image",
        "gensis.evaluation.tasks.linear_sgd",
        _PROBABILITIES,
        {"balanced_accuracy": "linear probe with DINO's protocol, balanced accuracy"},
        switch="Also DINO's linear protocol, comparable with published results: the class tokens of the last four "
        "blocks, embedded separately, and 100 epochs of SGD.",
        inputs=("last_blocks",),
    ),
    "linear-*pct": Task(
        "image",
        "gensis.evaluation.tasks.low_label",
        _PROBABILITIES,
        {"balanced_accuracy": "linear probe, {variant} % of labels, balanced accuracy"},
        when=lambda evaluation: evaluation.low_label_tasks,
    ),
    "retrieval": Task(
        "image",
        "gensis.evaluation.tasks.retrieval",
        _RANKING,
        {"average_precision": "image retrieval, mean average precision"},
        when=lambda evaluation: evaluation.retrieval,
        reads=("knn",),
        is_fitted=False,
    ),
    "corruptions": Task(
        "image",
        "gensis.evaluation.tasks.corruptions",
        ("knn_accuracy", "linear_accuracy"),
        {
            "knn_accuracy": "k-NN on corrupted images, accuracy",
            "linear_accuracy": "linear probe on corrupted images, accuracy",
        },
        when=lambda evaluation: evaluation.corruptions,
        reads=("corruptions", "knn_temperature"),
        inputs=("corrupted",),
    ),
    "slides-mean": Task(
        "slide",
        "gensis.evaluation.tasks.linear",
        _OF_SLIDES,
        _slide_columns("mean embedding"),
        when=lambda evaluation: "mean" in evaluation.slides,
    ),
    "slides-abmil": Task(
        "slide",
        "gensis.evaluation.tasks.abmil",
        _OF_SLIDES,
        _slide_columns("ABMIL"),
        when=lambda evaluation: "abmil" in evaluation.slides,
        reads=_MIL,
        has_attention=True,
    ),
    "slides-dsmil": Task(
        "slide",
        "gensis.evaluation.tasks.dsmil",
        _OF_SLIDES,
        _slide_columns("DSMIL"),
        when=lambda evaluation: "dsmil" in evaluation.slides,
        reads=_MIL,
        has_attention=True,
    ),
    "slides-retrieval": Task(
        "slide",
        "gensis.evaluation.tasks.retrieval",
        _RANKING,
        {"average_precision": "slide retrieval, mean average precision"},
        when=lambda evaluation: evaluation.retrieval,
        reads=("knn",),
        is_fitted=False,
    ),
    "copy-detection": Task(
        "benchmark",
        "gensis.evaluation.tasks.copy_detection",
        ("average_precision",),
        {"average_precision": "copy detection, mean average precision"},
        when=_has("copy-detection"),
        is_fitted=False,
    ),
    "retrieval-landmarks": Task(
        "benchmark",
        "gensis.evaluation.tasks.landmark_retrieval",
        ("average_precision_medium", "average_precision_hard"),
        {
            "average_precision_medium": "landmark retrieval, mean average precision, medium",
            "average_precision_hard": "landmark retrieval, mean average precision, hard",
        },
        when=_has("retrieval-landmarks"),
        is_fitted=False,
    ),
    "video-segmentation": Task(
        "benchmark",
        "gensis.evaluation.tasks.video_segmentation",
        ("j_and_f", "j", "f"),
        {
            "j_and_f": "video segmentation, J and F",
            "j": "video segmentation, region similarity J",
            "f": "video segmentation, contour accuracy F",
        },
        when=_has("video-segmentation"),
        is_fitted=False,
    ),
    "segmentation": Task(
        "benchmark",
        "gensis.evaluation.tasks.segmentation",
        ("miou", "dice"),
        {"miou": "linear segmentation, mean IoU", "dice": "linear segmentation, Dice"},
        when=_has("segmentation"),
    ),
    "slides-mean-*": _classes("linear", "mean", "mean embedding"),
    "slides-abmil-*": _classes("abmil", "abmil", "ABMIL"),
    "slides-dsmil-*": _classes("dsmil", "dsmil", "DSMIL"),
    "survival-mean-*": _survival("survival_mean", "mean", "Cox regression of the mean embedding"),
    "survival-abmil-*": _survival("survival_abmil", "abmil", "ABMIL"),
    "regression-mean-*": _regression("regression_mean", "mean", "ridge regression of the mean embedding"),
    "regression-abmil-*": _regression("regression_abmil", "abmil", "ABMIL"),
}
"""Name of each task, which names its result file too -> the task, in the order of the report. A `*` stands for a
number that the settings list, or for a target; each is a task. To add a task, see docs/extending.md."""


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        UserError: no task has this name.
    """
    return TASKS[_pattern(name)]


def variant(name: str) -> str:
    """What the `*` of a task's name stands for: a number or a target; empty for a name without it."""
    prefix, _, suffix = _pattern(name).partition("*")
    return name.removeprefix(prefix).removesuffix(suffix)


def with_attention(names: Iterable[str]) -> set[str]:
    """The tasks with attention over the images of a slide."""
    return {name for name in names if find_task(name).has_attention}


def _pattern(name: str) -> str:
    for pattern in TASKS:
        if fnmatchcase(name, pattern):
            return pattern
    raise UserError(f"no evaluation task '{name}': choose from {', '.join(TASKS)}")
