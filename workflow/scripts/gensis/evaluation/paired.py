"""Paired comparisons of encoders over the seeds that both have."""

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass

from gensis.evaluation.statistics import Estimate, mean_alone, over_seeds
from gensis.settings.roles import UNTRAINED


@dataclass(frozen=True)
class Pair:
    """A pair of encoders whose metrics are compared: ``encoder`` minus ``baseline``."""

    encoder: str
    baseline: str


@dataclass(frozen=True, kw_only=True)
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
    """Comparison of a pair by one metric."""

    pair: Pair
    dataset: str
    task: str
    metric: str
    _: KW_ONLY
    seed: int | None
    """None for the mean over seeds; else the seed whose tested items are compared, for this seed alone."""
    estimate: Estimate


def pairs_of(baseline: str, arms: Sequence[str], main_arm: str | None, external: Sequence[str] = ()) -> list[Pair]:
    """The pairs to compare: all others with the baseline, and the main arm with other arms and external encoders.

    Args:
        baseline: name of the pre-trained encoder, or of the reference if nothing is trained.
        arms: names of the retrained encoders, or of the other external encoders, in the order of the config.
        main_arm: the arm that the study is about; None if there are no arms.
        external: names of external encoders beside trained ones.
    """
    with_baseline = [Pair(arm, baseline) for arm in arms]
    others = [name for name in (*arms, *external) if main_arm not in (name, None)]
    with_main_arm = [Pair(main_arm, name) for name in others]
    return [*with_baseline, *with_main_arm, *(Pair(name, baseline) for name in (*external, *UNTRAINED))]


def compare_over_seeds(values: Sequence[Value], pairs: Sequence[Pair], *, trained: bool = True) -> Iterator[Comparison]:
    """The mean difference over the seeds that both encoders have, for each pair and each metric that they share.

    If no encoder was trained, seeds only repeat the evaluation of the same embeddings: no interval and no test.
    """
    estimate_of = over_seeds if trained else mean_alone
    measured: dict[tuple[str, str, str], dict[str, dict[int, float]]] = {}
    for value in values:
        by_encoder = measured.setdefault((value.dataset, value.task, value.metric), {})
        by_encoder.setdefault(value.encoder, {})[value.seed] = value.value
    for pair in pairs:
        for metric, by_encoder in measured.items():
            ours, theirs = (by_encoder.get(name, {}) for name in (pair.encoder, pair.baseline))
            if shared := sorted(ours.keys() & theirs.keys()):
                estimate = estimate_of([ours[seed] - theirs[seed] for seed in shared])
                yield Comparison(pair, *metric, seed=None, estimate=estimate)
