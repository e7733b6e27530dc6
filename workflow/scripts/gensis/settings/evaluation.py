"""How encoders are evaluated."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, create_model

from gensis.settings.base import Name, PositiveFloat, PositiveInt, Settings, added
from gensis.settings.benchmarks import Benchmark
from gensis.settings.registries import CORRUPTIONS
from gensis.settings.targets import Target, kind_of
from gensis.settings.tasks import TASKS, FurtherInput, Level, find_task
from gensis.settings.transfer import Transfer

Corruption = Literal[*CORRUPTIONS]

Input = TypeVar("Input")


def _key(task: str) -> str:
    """The key of a task that has its own."""
    return task.replace("-", "_")


Switches = create_model(
    "Switches",
    __base__=Settings,
    **{
        _key(name): (bool, Field(default=False, description=task.switch, json_schema_extra={"neutral": False}))
        for name, task in TASKS.items()
        if task.switch
    },
)
"""The keys of the tasks that have their own."""


class Evaluation(Switches):
    """Evaluation of frozen embeddings: k-NN, linear probes and slide-level classification."""

    datasets: tuple[Name, ...] = ()
    """Data sets to evaluate on. Data sets without labels are skipped with a line in the log."""
    knn: tuple[PositiveInt, ...] = (5, 10, 20, 100, 200)
    """Values of k of the weighted k-NN classifier. Values above the number of training images are dropped with a line
    in the log."""
    knn_temperature: PositiveFloat = 0.07
    """Temperature of the weights of the neighbours."""
    linear: bool = True
    """Linear probe: logistic regression on standardised embeddings. Its regularisation is chosen on a part of train."""
    low_label: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = added(neutral=[])
    """Also train linear probes on these fractions of the training labels, such as 0.01 and 0.1. Results are averaged
    over five random draws by group."""
    retrieval: bool = added(neutral=False)
    """Also image retrieval: rank the training images, and the slides by their mean embeddings, by similarity to each
    test image or slide. Reports mean average precision, and precision at each k of `knn`."""
    corruptions: tuple[Corruption, ...] = added(neutral=[])
    """Also test classifiers of clean images on test images with these corruptions, each in five severities."""
    transfer: tuple[Transfer, ...] = added(neutral=[])
    """Also fit the k-NN classifier, the linear probe and, on slides, those of `slides` on one data set and test them on
    others, all of `datasets`. Classes are matched by name."""
    benchmarks: dict[Name, Benchmark] = added(neutral={})
    """Benchmarks by name: copy detection, retrieval of landmarks, segmentation of videos in the folders that their
    authors distribute, and linear segmentation of your own images. Their images are used for nothing else."""
    slides: tuple[Literal["mean", "abmil", "dsmil"], ...] = ("mean", "abmil")
    """Slide classifiers. `mean`: logistic regression on the mean of a slide's embeddings. `abmil`: gated attention
    (Ilse et al. 2018). `dsmil`: dual-stream attention (Li et al. 2021). Targets of survival and regression have `mean`
    (Cox and ridge regression) and `abmil`."""
    bags: Literal["slide", "group"] = added(neutral="slide")
    """Unit of classification of slide classifiers: each slide, or all slides of a group (patient, case) together."""
    mil_epochs: PositiveInt = 50
    """Largest number of epochs of `abmil` and `dsmil`."""
    mil_learning_rate: PositiveFloat = 3e-4
    """Learning rate of `abmil` and `dsmil`."""
    mil_seeds: PositiveInt = 3
    """Number of initialisations of `abmil` and `dsmil` whose probabilities are averaged."""
    mil_batch_size: PositiveInt = added(neutral=1)
    """Bags per step of `abmil` and `dsmil`. With thousands of slides, 16 or 32 save most of the time."""
    ordered_classes: tuple[str, ...] = added(neutral=[])
    """All classes in order, if they are ordinal (grades). Slide classifiers then also report quadratic kappa."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Number of cross-validation folds, by group, for data sets without a test split."""
    bootstrap: Annotated[int, Field(ge=0)] = 1000
    """Number of bootstrap resamples, by group, for confidence intervals. 0: no intervals."""
    bank_images: PositiveInt = added(neutral=5000)
    """Largest number of sources in the evaluation of a bank. Their generated images are compared with them and with as
    many other real images."""

    judge: Name | None = added(neutral=None)
    """Encoder that judges how far the views of a bank lie from ordinary views: a name in `encoders`, best trained on
    other images. Empty: the encoder of the bank, which understates the distance."""

    def of_task(self, name: str) -> dict[str, Any]:
        """The settings that a task reads, as JSON. No other key changes its results."""
        task = find_task(name)
        return self.model_dump(mode="json", include={*task.common_keys, *task.reads})

    @staticmethod
    def inputs_of_task(name: str, inputs: Mapping[str, Input]) -> dict[str, Input]:
        """The inputs of an evaluation, by name, that a task reads."""
        unread = set(get_args(FurtherInput)) - set(find_task(name).inputs)
        return {name: given for name, given in inputs.items() if name not in unread}

    def _tasks(self, level: Level) -> tuple[str, ...]:
        """Names of the tasks of a level that run."""
        names: list[str] = []
        for name, task in TASKS.items():
            runs = getattr(self, _key(name)) if task.when is None else task.when(self)
            if task.level == level and task.target is None and runs:
                names += runs if "*" in name else [name]
        return tuple(names)

    @property
    def image_tasks(self) -> tuple[str, ...]:
        """Names of the tasks on single images."""
        return self._tasks("image")

    @property
    def transfer_tasks(self) -> tuple[str, ...]:
        """Names of the tasks of `transfer` on single images."""
        return tuple(name for name in self.image_tasks if name in ("knn", "linear"))

    @property
    def slide_transfer_tasks(self) -> tuple[str, ...]:
        """Names of the tasks of `transfer` on whole slides."""
        return tuple(name for name in self.slide_tasks if find_task(name).is_fitted)

    @property
    def slide_tasks(self) -> tuple[str, ...]:
        """Names of the tasks on whole slides that predict their labels."""
        return self._tasks("slide")

    def target_tasks(self, targets: Mapping[str, Target]) -> tuple[str, ...]:
        """Names of the tasks on whole slides that predict further targets of a sheet."""
        return tuple(
            pattern.replace("*", name)
            for pattern, task in TASKS.items()
            for name, target in targets.items()
            if task.target == kind_of(target) and task.when(self)
        )

    @property
    def further_inputs(self) -> frozenset[FurtherInput]:
        """What the tasks need besides labelled embeddings."""
        return frozenset(each for name in self.image_tasks + self.slide_tasks for each in find_task(name).inputs)

    @property
    def low_label_tasks(self) -> dict[str, float]:
        """Name of each low-label task -> its fraction of the labels."""
        return {f"linear-{100 * share:g}pct": share for share in self.low_label}

    @property
    def corruption_names(self) -> tuple[str, ...]:
        """Kind and severity of each corruption: `blur-1`."""
        return tuple(f"{kind}-{severity}" for kind in self.corruptions for severity in range(1, 6))
