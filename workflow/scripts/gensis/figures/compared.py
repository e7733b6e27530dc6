"""The comparisons of encoders in pairs, from comparisons.csv."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gensis.artifacts.tables import read_table
from gensis.figures.scores import Column

LEVEL = 0.05


def seeds_for_a_claim(figures: int) -> int:
    """Fewest seeds with which a two-sided sign-flip test can reach p < 0.05 after correction: 6 for one main metric.

    The smallest p-value of n seeds is 2 / 2^n; the correction multiplies it by the number of main metrics.
    """
    return next(n for n in range(1, 64) if figures * 2 / 2**n < LEVEL)


def p_value(p: float) -> str:
    """A p-value in words."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def holm(p: Sequence[float]) -> list[float]:
    """p-values of one family, corrected: without any difference, at least one is below 5 % in at most 5 % of cases.

    Holm 1979, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.
    """
    corrected, largest = [math.nan] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


Family = Sequence[tuple[str, Column]]
"""Data sets and columns that are tested together."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One metric of a pair of encoders; NaN where a number is absent."""

    encoder: str
    baseline: str
    dataset: str
    task: str
    metric: str
    seed: int | None
    """None: mean over seeds. Otherwise: over the test items of this seed."""
    n: int
    """Seeds or items."""
    difference: float
    low: float
    high: float
    interval: str
    p: float
    test: str
    family: int = 1
    """Main metrics that are corrected together."""
    corrected_p: float = math.nan
    """Of a main metric over seeds: `p` after Holm correction for the family; NaN where there is no p."""

    @property
    def pair(self) -> tuple[str, str]:
        """Encoder and baseline."""
        return self.encoder, self.baseline

    @property
    def excludes_no_difference(self) -> bool:
        """Whether 0 lies outside the interval over seeds; a single seed has none."""
        return self.seed is None and (self.low > 0 or self.high < 0)

    @property
    def has_seeds_for_a_claim(self) -> bool:
        """Whether there are enough seeds for the corrected test to reach 5 %."""
        return self.seed is None and self.n >= seeds_for_a_claim(self.family)

    @property
    def is_evidence(self) -> bool:
        """Whether a difference may be claimed: by test and by interval, since the signs alone do not show its size."""
        return self.corrected_p < LEVEL and self.excludes_no_difference


class Comparisons:
    """All comparisons of a run."""

    def __init__(self, found: list[Compared]):
        self.all = found

    def pairs(self, dataset: str) -> list[tuple[str, str]]:
        """Pairs of encoders that were compared on a data set, in the order of the table."""
        return list(dict.fromkeys(found.pair for found in self.all if found.dataset == dataset))

    def over_seeds(self, pair: tuple[str, str], dataset: str, column: Column) -> Compared | None:
        """The mean difference over seeds; None if the two encoders share no seed."""
        return next((found for found in self._of(pair, dataset, column) if found.seed is None), None)

    def main_figure(self, pair: tuple[str, str], dataset: str, column: Column, family: Family) -> Compared | None:
        """The mean difference over seeds, corrected for the other main metrics of the pair; None if they share no seed.

        Args:
            pair: encoder and baseline.
            dataset: of the metric.
            column: the metric.
            family: all main metrics of the run, including this one.
        """
        main = self.over_seeds(pair, dataset, column)
        if main is None:
            return None
        together = [found for where in family if (found := self.over_seeds(pair, *where))]
        corrected = holm([1.0 if math.isnan(found.p) else found.p for found in together])
        p = math.nan if math.isnan(main.p) else corrected[together.index(main)]
        return replace(main, family=len(together), corrected_p=p)

    def over_items(self, pair: tuple[str, str], dataset: str, column: Column) -> list[Compared]:
        """The differences over test items, one for each seed."""
        return [found for found in self._of(pair, dataset, column) if found.seed is not None]

    def _of(self, pair: tuple[str, str], dataset: str, column: Column) -> list[Compared]:
        where = (pair, dataset, column.task, column.metric)
        return [found for found in self.all if (found.pair, found.dataset, found.task, found.metric) == where]


def read_compared(path: Path) -> list[Compared]:
    """The lines of comparisons.csv."""
    return [
        Compared(
            **{name: row[name] for name in ("encoder", "baseline", "dataset", "task", "metric", "interval", "test")},
            seed=int(row["seed"]) if row["over"] == "items" else None,
            n=int(row["n"]),
            **{name: float(row[name] or math.nan) for name in ("difference", "low", "high", "p")},
        )
        for row in read_table(path, delimiter=",")
    ]
