"""Coverage of 95 % bootstrap intervals by the number of groups, for plain percentiles and the pipeline's intervals.

    python benchmarks/coverage.py

Groups (patients) differ: each has its own accuracy, drawn from a beta distribution. Items are resampled by group as in
the pipeline. Prints a JSON line per case and number of groups with coverage (how often an interval contains the true
value) and mean width of both kinds of interval; the standard error of a coverage of 0.9 is 0.007 with 2,000 repeats.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from gensis.evaluation.bootstrap import expanded_percentiles, resampled
from gensis.evaluation.metrics import accuracy, balanced_accuracy

GROUPS = (3, 5, 8, 12, 20, 50)
PLAIN = (2.5, 97.5)
Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A metric and the distribution of the groups that it is measured on."""

    metric: Metric
    truth: float
    """True accuracy, the same for every class."""
    correlation: float
    """Intraclass correlation of two items of a group; 0: items are independent."""
    items: float
    """Mean number of items of a group."""
    uneven: bool = False
    """Whether groups have different numbers of items (log-normal, sigma 0.7)."""


CASES = {
    "accuracy": Case(accuracy, 0.7, 0.1, 30),
    "high-accuracy": Case(accuracy, 0.9, 0.1, 30),
    "uneven-groups": Case(accuracy, 0.7, 0.3, 30, uneven=True),
    "one-item-a-group": Case(accuracy, 0.7, 0, 1),
    "balanced-accuracy": Case(balanced_accuracy, 0.7, 0.2, 30),
}


def simulated_study(
    case: Case, groups: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups (N,), labels (N,) and predicted classes (N,) of the items of a study; groups alternate in their class."""
    sizes = np.full(groups, round(case.items))
    if case.uneven:
        sizes = np.maximum(1, case.items * generator.lognormal(-0.245, 0.7, groups)).astype(int)
    share = np.full(groups, case.truth)
    if case.correlation:
        concentration = (1 - case.correlation) / case.correlation
        share = generator.beta(case.truth * concentration, (1 - case.truth) * concentration, groups)
    group = np.repeat(np.arange(groups), sizes)
    label = group % 2
    right = generator.random(len(group)) < share[group]
    return group, label, np.where(right, label, 1 - label)


def resampled_metric(case: Case, groups: int, repeat: int, resamples: int) -> np.ndarray:
    """The metric on resamples of one study: float64 (resamples,)."""
    group, label, predicted = simulated_study(case, groups, np.random.default_rng([repeat, groups]))
    return resampled(lambda weights: {"": case.metric(label, predicted, weights)}, group, resamples)[""]


def coverage(case: Case, groups: int, repeats: int, resamples: int) -> dict[str, float]:
    """Coverage and mean width of both kinds of interval."""
    percentiles = np.array([PLAIN, expanded_percentiles(groups)])
    hits, width = np.zeros(2), np.zeros(2)
    for repeat in range(repeats):
        low, high = np.nanpercentile(resampled_metric(case, groups, repeat, resamples), percentiles.T)
        hits += (low <= case.truth + 1e-12) & (case.truth - 1e-12 <= high)
        width += high - low
    result = {}
    for number, name in enumerate(("plain", "gensis")):
        result[f"{name}_coverage"] = round(hits[number] / repeats, 3)
        result[f"{name}_width"] = round(width[number] / repeats, 3)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--groups", type=int, nargs="+", default=GROUPS)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    for name in arguments.case:
        for groups in arguments.groups:
            result = coverage(CASES[name], groups, arguments.repeats, arguments.resamples)
            print(json.dumps({"case": name, "groups": groups, "n": arguments.repeats} | result), flush=True)
