"""How encoders are evaluated."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from gensis.settings.base import Name, PositiveFloat, PositiveInt, Settings, added
from gensis.settings.registries import CORRUPTIONS

Corruption = Literal[*CORRUPTIONS]

Input = TypeVar("Input")
_OF_ONE_TASK = {"corrupted": "corruptions", "last_blocks": "linear-sgd"}
"""Inputs that only one task reads."""


class Evaluation(Settings):
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
    linear_sgd: bool = added(neutral=False)
    """Also DINO's linear protocol, comparable with published results: the class tokens of the last four blocks,
    embedded separately, and 100 epochs of SGD."""
    low_label: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = added(neutral=[])
    """Also train linear probes on these fractions of the training labels, such as 0.01 and 0.1. Results are averaged
    over five random draws by group."""
    retrieval: bool = added(neutral=False)
    """Also image retrieval: rank the training images, and the slides by their mean embeddings, by similarity to each
    test image or slide. Reports mean average precision, and precision at each k of `knn`."""
    corruptions: tuple[Corruption, ...] = added(neutral=[])
    """Also test classifiers of clean images on test images with these corruptions, each in five severities."""
    slides: tuple[Literal["mean", "abmil", "dsmil"], ...] = ("mean", "abmil")
    """Slide classifiers. `mean`: logistic regression on the mean of a slide's embeddings. `abmil`: gated attention
    (Ilse et al. 2018). `dsmil`: dual-stream attention (Li et al. 2021)."""
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

    def of_task(self, task: str) -> dict[str, Any]:
        """The settings that a task reads, as JSON. No other key changes its results."""
        kind, _, classifier = task.partition("-")
        read = {"ordered_classes", "folds", "bootstrap"}
        if task == "knn":
            read |= {"knn", "knn_temperature"}
        elif task == "corruptions":
            read |= {"corruptions", "knn_temperature"}
        elif "retrieval" in (kind, classifier):
            read |= {"knn"}
        elif task in ("slides-abmil", "slides-dsmil"):
            read |= {"mil_epochs", "mil_learning_rate", "mil_seeds", "mil_batch_size"}
        if kind == "slides":
            read |= {"bags"}
        return self.model_dump(mode="json", include=read)

    @staticmethod
    def inputs_of_task(task: str, inputs: Mapping[str, Input]) -> dict[str, Input]:
        """The inputs of an evaluation, by name, that a task reads."""
        return {name: given for name, given in inputs.items() if _OF_ONE_TASK.get(name, task) == task}

    @property
    def image_tasks(self) -> tuple[str, ...]:
        """Names of the tasks on single images."""
        switched = {"knn": bool(self.knn), "linear": self.linear, "linear-sgd": self.linear_sgd}
        switched["retrieval"] = self.retrieval
        switched["corruptions"] = bool(self.corruptions)
        return (*(task for task, on in switched.items() if on), *self.low_label_tasks)

    @property
    def low_label_tasks(self) -> dict[str, float]:
        """Name of each low-label task -> its fraction of the labels."""
        return {f"linear-{100 * share:g}pct": share for share in self.low_label}

    @property
    def corruption_names(self) -> tuple[str, ...]:
        """Kind and severity of each corruption: `blur-1`."""
        return tuple(f"{kind}-{severity}" for kind in self.corruptions for severity in range(1, 6))

    @property
    def slide_tasks(self) -> tuple[str, ...]:
        """Names of the tasks on whole slides."""
        return tuple(f"slides-{name}" for name in (*self.slides, *(["retrieval"] if self.retrieval else [])))

    @property
    def attention_tasks(self) -> tuple[str, ...]:
        """Names of the slide tasks with attention over the images of a slide."""
        return tuple(f"slides-{name}" for name in self.slides if name != "mean")
