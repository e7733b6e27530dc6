"""How encoders are measured."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from gensis.settings.base import Name, PositiveFloat, PositiveInt, Settings, added

Corruption = Literal[
    "noise",
    "shot",
    "impulse",
    "blur",
    "defocus",
    "glass",
    "motion",
    "zoom",
    "snow",
    "fog",
    "brightness",
    "contrast",
    "elastic",
    "pixelate",
    "jpeg",
    "stain",
]

Input = TypeVar("Input")
_OF_ONE_TASK = {"corrupted": "corruptions", "last_blocks": "linear-sgd"}
"""Inputs that one task alone reads."""


class Evaluation(Settings):
    """k-NN, linear probe and slide-level classification of frozen embeddings."""

    datasets: tuple[Name, ...] = ()
    """Data sets to measure on; those without labels are skipped, and the log says so."""
    knn: tuple[PositiveInt, ...] = (5, 10, 20, 100, 200)
    """Neighbours of the weighted k-NN; a k above the number of training images is dropped, and the log says so."""
    knn_temperature: PositiveFloat = 0.07
    linear: bool = True
    """Logistic regression on standardised embeddings, its severity chosen on a part of train."""
    linear_sgd: bool = added(neutral=False)
    """Also DINO's own linear protocol, for figures to set beside published ones: the class tokens of the last four
    blocks, embedded in a pass of their own, and 100 epochs of SGD."""
    low_label: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = added(neutral=[])
    """Also with these parts of the training labels, such as 0.01 and 0.1: five draws by group, averaged."""
    retrieval: bool = added(neutral=False)
    """Also rank all training images, and mean embeddings of slides, by likeness to each tested one: mean average
    precision, and precision at the k of `knn`."""
    corruptions: tuple[Corruption, ...] = added(neutral=[])
    """Also embed tested images corrupted in these ways, each in five severities, and test classifiers of clean ones."""
    slides: tuple[Literal["mean", "abmil", "dsmil"], ...] = ("mean", "abmil")
    """Slide classifiers: mean of a slide's embeddings with logistic regression; gated attention (Ilse et al. 2018);
    dual-stream attention (Li et al. 2021)."""
    bags: Literal["slide", "group"] = added(neutral="slide")
    """What slide classifiers classify: each slide, or all slides of a group (patient, case) together."""
    mil_epochs: PositiveInt = 50
    """At most, of `abmil` and `dsmil`; so are the next three."""
    mil_learning_rate: PositiveFloat = 3e-4
    mil_seeds: PositiveInt = 3
    """Initialisations whose probabilities are averaged."""
    mil_batch_size: PositiveInt = added(neutral=1)
    """Bags a step; with thousands of slides, 16 or 32 save most of the time."""
    ordered_classes: tuple[str, ...] = added(neutral=[])
    """All classes in their order, where they have one (grades): slide classifiers get quadratic kappa too."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds, by group, where a data set has no test split."""
    bootstrap: Annotated[int, Field(ge=0)] = 1000
    """Resamples (by group) for the intervals; 0 for none."""
    bank_images: PositiveInt = added(neutral=5000)
    """Sources, at most, whose images in a bank are compared with them and with as many other real images."""

    def of_task(self, task: str) -> dict[str, Any]:
        """What a task reads of these settings, as JSON: no other key changes its figures."""
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
        """Those of the inputs of a measurement, by their names, that a task reads."""
        return {name: given for name, given in inputs.items() if _OF_ONE_TASK.get(name, task) == task}

    @property
    def image_tasks(self) -> tuple[str, ...]:
        """Names of what is measured on single images."""
        switched = {"knn": bool(self.knn), "linear": self.linear, "linear-sgd": self.linear_sgd}
        switched["retrieval"] = self.retrieval
        switched["corruptions"] = bool(self.corruptions)
        return (*(task for task, on in switched.items() if on), *self.low_label_tasks)

    @property
    def low_label_tasks(self) -> dict[str, float]:
        """Name of each such task: its part of the labels."""
        return {f"linear-{100 * share:g}pct": share for share in self.low_label}

    @property
    def corruption_names(self) -> tuple[str, ...]:
        """Kind and severity of each: `blur-1`."""
        return tuple(f"{kind}-{severity}" for kind in self.corruptions for severity in range(1, 6))

    @property
    def slide_tasks(self) -> tuple[str, ...]:
        """Names of what is measured on whole slides."""
        return tuple(f"slides-{name}" for name in (*self.slides, *(["retrieval"] if self.retrieval else [])))

    @property
    def attention_tasks(self) -> tuple[str, ...]:
        """Those of them that weigh the images of a slide."""
        return tuple(f"slides-{name}" for name in self.slides if name != "mean")
