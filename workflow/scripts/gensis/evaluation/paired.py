"""Encoders against each other over the seeds that both have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gensis.evaluation.statistics import Estimate, over_seeds

BASELINE = "dino"
UNTRAINED = ("random", "pixels")


@dataclass(frozen=True)
class Pair:
    """Whose difference is taken: the first minus the second."""

    encoder: str
    baseline: str


@dataclass(frozen=True)
class Value:
    """One metric of one encoder with one seed."""

    encoder: str
    dataset: str
    seed: int
    task: str
    metric: str
    value: float


@dataclass(frozen=True)
class Comparison:
    """One metric of a pair."""

    pair: Pair
    dataset: str
    task: str
    metric: str
    seed: int | None
    """None: the mean over seeds. Else over the items tested with this seed, as if no other could have been drawn."""
    estimate: Estimate


def pairs_of(arms: Sequence[str], main_arm: str | None) -> list[Pair]:
    """Each arm against dino; the arm that the study is about against the other arms; what was not trained against dino.

    Args:
        arms: the retrained encoders, in the config's order.
        main_arm: one of them; None where there are none.
    """
    of_arms = [*(Pair(arm, BASELINE) for arm in arms), *(Pair(main_arm, arm) for arm in arms if arm != main_arm)]
    return [*of_arms, *(Pair(name, BASELINE) for name in UNTRAINED)]


def compare_over_seeds(values: Sequence[Value], pairs: Sequence[Pair]) -> Iterator[Comparison]:
    """The mean difference over the seeds that both have, of each pair and each metric that they share."""
    measured: dict[tuple[str, str, str], dict[str, dict[int, float]]] = {}
    for value in values:
        what = measured.setdefault((value.dataset, value.task, value.metric), {})
        what.setdefault(value.encoder, {})[value.seed] = value.value
    for pair in pairs:
        for what, by_encoder in measured.items():
            ours, theirs = (by_encoder.get(name, {}) for name in (pair.encoder, pair.baseline))
            if shared := sorted(ours.keys() & theirs.keys()):
                yield Comparison(pair, *what, None, over_seeds([ours[seed] - theirs[seed] for seed in shared]))
