"""Classifiers that are fitted on one data set and tested on others."""

from typing import Annotated

from pydantic import Field, model_validator

from gensis.settings.base import Name, Settings


class Transfer(Settings):
    """Classifiers of one data set, tested on others: the same classes under another distribution, or in another
    hospital."""

    fit: Name
    """Data set whose images or slides the classifiers learn from: its train split, or all if it has no test split."""
    test: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Data sets whose images or slides are classified: their test split, or all if they have none."""

    @model_validator(mode="after")
    def _tests_others(self) -> "Transfer":
        if self.fit in self.test:
            raise ValueError(f"test: {self.fit} is `fit` itself, whose images were learnt from: name other data sets")
        return self

    @property
    def results(self) -> dict[str, str]:
        """Tested data set -> name of its results, in the place of a data set's name."""
        return {tested: results_name(self.fit, tested) for tested in self.test}


def results_name(fit: str, tested: str) -> str:
    """Name of the results of classifiers of one data set on another, in the place of a data set's name."""
    return f"{fit}-to-{tested}"
