"""Linear probes on random subsets of the training labels."""

import numpy as np

from gensis.errors import UserError
from gensis.evaluation.data import TaskData
from gensis.evaluation.linear import fit_linear
from gensis.evaluation.measured import Measured, Probabilities, classified
from gensis.evaluation.protocol import pooled

DRAWS = 5
_SEED = 0  # Always the same, so that every encoder and seed is trained on the same labels.


def measure(data: TaskData) -> Measured:
    """Metrics averaged over several draws of a fraction of the labels.

    Raises:
        UserError: the settings have no such fraction.
    """
    items, shares = data.items, data.settings.low_label_tasks
    if data.name not in shares:
        raise UserError(f"task '{data.name}': evaluation.low_label has no such fraction: add it, or remove the task")

    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        known = [train[drawn] for drawn in draws(items.labels[train], items.groups[train], shares[data.name])]
        probes = [
            fit_linear(
                items.features[few],
                items.labels[few],
                items.groups[few],
                classes=len(items.classes),
                device=data.device,
            )
            for few in known
        ]
        return {"": np.stack([probe.probabilities(items.features[test]) for probe in probes], axis=1, dtype=np.float32)}

    return classified(data, pooled(data.protocol, predict))


def draws(labels: np.ndarray, groups: np.ndarray, share: float) -> list[np.ndarray]:
    """Draw whole groups at random: for each class a share of the groups that it occurs in, and at least one.

    Args:
        labels: int (N,), of training items.
        groups: int (N,).
        share: share of the groups.

    Returns:
        Indices of the items whose labels are used, for each of DRAWS draws. If groups have several classes, the items
        may be more than the share, since groups are drawn for each class.
    """
    return [_draw(labels, groups, share, np.random.default_rng((_SEED, number))) for number in range(DRAWS)]


def _draw(labels: np.ndarray, groups: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    chosen = []
    for label in np.unique(labels):
        candidates = np.unique(groups[labels == label])
        chosen.append(generator.choice(candidates, max(1, round(share * len(candidates))), replace=False))
    return np.flatnonzero(np.isin(groups, np.concatenate(chosen)))
