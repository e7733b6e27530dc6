"""Slide classification by gated attention over a slide's embeddings (Ilse et al. 2018, arXiv 1802.04712)."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gensis.evaluation.folds import Round, holdouts
from gensis.evaluation.standardisation import Standardisation

_PATIENCE_EPOCHS = 10
_WEIGHT_DECAY = 1e-2


class GatedAttention(nn.Module):
    """Weighted mean of a bag's projected instances, and a linear classifier of it."""

    def __init__(self, features: int, classes: int, hidden: int = 128, attention: int = 64):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
        self.value = nn.Sequential(nn.Linear(hidden, attention), nn.Tanh())
        self.gate = nn.Sequential(nn.Linear(hidden, attention), nn.Sigmoid())
        self.score = nn.Linear(attention, 1)
        self.classify = nn.Linear(hidden, classes)

    def forward(self, bag: Tensor) -> Tensor:
        """Logits (K,) of one bag (n, D). The order of the instances does not matter."""
        instances = self.project(bag)
        attention = self.score(self.value(instances) * self.gate(instances)).softmax(dim=0)
        return self.classify((attention * instances).sum(dim=0))


def abmil_probabilities(
    train: Sequence[np.ndarray],
    labels: np.ndarray,
    groups: np.ndarray,
    test: Sequence[np.ndarray],
    classes: int,
    epochs: int,
    learning_rate: float,
    seeds: Sequence[tuple[int, ...]],
    device: torch.device,
) -> np.ndarray:
    """Class probabilities of test bags, averaged over initialisations.

    Each initialisation stops early on another part of train, so that together they learn from all of it.

    Args:
        train: bags, float32 (n, D) each.
        labels: int (S,), of the train bags.
        groups: int (S,).
        test: bags.
        classes: number of classes K.
        epochs: passes over train, at most.
        learning_rate: of AdamW, one bag a step.
        seeds: one initialisation each.
        device: where the heads are trained.

    Returns:
        float64 (T, K).
    """
    standardise = Standardisation.of(np.concatenate(train))
    train_bags, test_bags = ([torch.from_numpy(standardise(bag)).to(device) for bag in bags] for bags in (train, test))
    targets = torch.from_numpy(labels).to(device)
    parts = holdouts(labels, groups) or [(np.arange(len(labels)), np.arange(0))]
    total = np.zeros((len(test), classes))
    for i, seed in enumerate(seeds):
        model = _fit(train_bags, targets, parts[i % len(parts)], classes, epochs, learning_rate, seed)
        total += _logits(model, test_bags).double().softmax(dim=1).cpu().numpy()
    return total / len(seeds)


def _fit(
    bags: list[Tensor],
    targets: Tensor,
    part: Round,
    classes: int,
    epochs: int,
    learning_rate: float,
    seed: tuple[int, ...],
) -> GatedAttention:
    """Train on the first indices of ``part`` and keep the epoch with the least loss on the second, if there are any."""
    fit, validation = part
    generator = np.random.default_rng(seed)
    model = _initialised(bags[0].shape[1], classes, int(generator.integers(2**62))).to(bags[0].device)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=_WEIGHT_DECAY, fused=True)
    validation_bags = [bags[i] for i in validation]
    best, best_epoch, kept = float("inf"), 0, None
    for epoch in range(epochs):
        for i in generator.permutation(fit):
            optimizer.zero_grad()
            cross_entropy(model(bags[i]), targets[i]).backward()
            optimizer.step()
        if validation_bags:
            loss = cross_entropy(_logits(model, validation_bags), targets[validation]).item()
            if loss < best:
                best, best_epoch, kept = loss, epoch, copy.deepcopy(model.state_dict())
            elif epoch - best_epoch >= _PATIENCE_EPOCHS:
                break
    if kept:
        model.load_state_dict(kept)
    return model


def _initialised(features: int, classes: int, seed: int) -> GatedAttention:
    """A head whose weights depend on the seed alone; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GatedAttention(features, classes)


@torch.no_grad()
def _logits(model: GatedAttention, bags: list[Tensor]) -> Tensor:
    return torch.stack([model(bag) for bag in bags])
