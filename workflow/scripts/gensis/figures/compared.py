"""The lines of comparisons.csv: encoders against each other."""

import csv
import math
from dataclasses import dataclass

from gensis.figures.scores import Column

SEEDS_FOR_A_CLAIM = 6
"""The fewest with which a two-sided sign-flip test can reach 5 %."""


@dataclass(frozen=True)
class Compared:
    """One metric of a pair of encoders; NaN where a number is absent."""

    encoder: str
    baseline: str
    dataset: str
    task: str
    metric: str
    seed: int | None
    """None: the mean over seeds. Else over the items tested with this seed."""
    n: int
    """Seeds or items."""
    difference: float
    low: float
    high: float
    interval: str
    p: float
    test: str

    @property
    def pair(self) -> tuple[str, str]:
        """Encoder and baseline."""
        return self.encoder, self.baseline

    @property
    def is_evidence(self) -> bool:
        """Whether a difference may be claimed: by test and by interval, for six signs alone say nothing of its size.

        Over fewer than SEEDS_FOR_A_CLAIM seeds there is no p-value.
        """
        return self.seed is None and self.p < 0.05 and not self.low <= 0 <= self.high


class Comparisons:
    """All comparisons of a run."""

    def __init__(self, found: list[Compared]):
        self.all = found

    def pairs(self, dataset: str) -> list[tuple[str, str]]:
        """Encoders that were compared on a data set, in the table's order."""
        return list(dict.fromkeys(found.pair for found in self.all if found.dataset == dataset))

    def over_seeds(self, pair: tuple[str, str], dataset: str, column: Column) -> Compared | None:
        """The mean difference over seeds; None if the two share none."""
        return next((found for found in self._of(pair, dataset, column) if found.seed is None), None)

    def over_items(self, pair: tuple[str, str], dataset: str, column: Column) -> list[Compared]:
        """The differences over tested items, a seed each."""
        return [found for found in self._of(pair, dataset, column) if found.seed is not None]

    def _of(self, pair: tuple[str, str], dataset: str, column: Column) -> list[Compared]:
        where = (pair, dataset, column.task, column.metric)
        return [found for found in self.all if (found.pair, found.dataset, found.task, found.metric) == where]


def read_compared(table: str) -> list[Compared]:
    """The lines of comparisons.csv, given its text."""
    return [
        Compared(
            **{name: row[name] for name in ("encoder", "baseline", "dataset", "task", "metric", "interval", "test")},
            seed=int(row["seed"]) if row["over"] == "items" else None,
            n=int(row["n"]),
            **{name: float(row[name] or math.nan) for name in ("difference", "low", "high", "p")},
        )
        for row in csv.DictReader(table.splitlines())
    ]
