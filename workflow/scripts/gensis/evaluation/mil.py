"""Slide-level prediction by multiple-instance learning (MIL) on bags of embeddings, with early stopping.

Predictions are averaged over several initialisations. Inputs of the head's module are padded bags, float32 (B, n, D),
and `present`, bool (B, n), False for padding. Its outputs are logits (B, S, K) of one or more streams, each of which
predicts, and the attention of each instance, (B, n, 1), or (B, n, K) if it depends on the class.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from gensis.evaluation.data import TaskData
from gensis.evaluation.folds import Round, holdouts
from gensis.evaluation.measured import Measured, classified
from gensis.evaluation.objectives import Objective, classification
from gensis.evaluation.predictions import Attention
from gensis.evaluation.standardisation import Standardisation
from gensis.settings.evaluation import Evaluation
from gensis.training.device import copied

Head = Callable[[int, int], nn.Module]
"""Function of the number of features and of outputs K: the module that is trained."""
_PATIENCE_EPOCHS = 10
_WEIGHT_DECAY = 1e-2


@dataclass(frozen=True)
class Bags:
    """Bags as inputs of a head: padded to the longest bag of a batch, and standardised."""

    bags: Sequence[Tensor]
    """One float32 (n, D) per bag, in the host's memory: all bags may exceed that of the device."""
    mean: Tensor
    deviation: Tensor
    per_step: int

    @classmethod
    def of(cls, bags: Sequence[np.ndarray], scale: Standardisation, per_step: int, device: torch.device) -> "Bags":
        """Create from float32 (n, D) arrays, one per bag."""
        mean, deviation = (torch.from_numpy(each).to(device) for each in (scale.mean, scale.deviation))
        return cls([torch.from_numpy(bag) for bag in bags], mean, deviation, per_step)

    def steps(self, order: Sequence[int]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batches of bags in order: their numbers (CPU), float32 (B, n, D), and bool (B, n), False for padding."""
        for numbers in torch.as_tensor(order).split(self.per_step):
            chosen = [self.bags[i] for i in numbers]
            padded = pad_sequence(chosen, batch_first=True)
            present = torch.arange(padded.shape[1]) < torch.tensor([len(bag) for bag in chosen])[:, None]
            padded, present = (copied(each, self.mean.device) for each in (padded, present))
            yield numbers, (padded - self.mean) / self.deviation, present


def measure_head(head: Head, data: TaskData) -> Measured:
    """Metrics and attention of a head that classifies the slides of a task."""
    labels, classes = data.items.labels, len(data.items.classes)
    probabilities, attention = predict_items(head, data, lambda train: classification(labels[train], classes))
    return classified(data, {"": probabilities}, attention)


def predict_items(
    head: Head, data: TaskData, objective: Callable[[np.ndarray], Objective]
) -> tuple[np.ndarray, Attention]:
    """Predictions of a head, float64 (n, K), for the slides of ``data.protocol.test``, and its attention.

    Args:
        head: makes the module that is trained.
        data: what the task is measured on.
        objective: function of int (T,) numbers of the training items: what the head learns from them.
    """
    slides, predictions, attention = data.items, [], {}
    for train, test in data.protocol.rounds:
        predicted, weights = predict_bags(
            head,
            [slides.bag(i) for i in train],
            [slides.bag(i) for i in test],
            objective=objective(train),
            groups=slides.groups[train],
            settings=data.settings,
            seed=data.seed,
            device=data.device,
        )
        predictions.append(predicted)
        for bag, values in zip(test, weights):
            attention.update(slides.by_slide(bag, values))
    return np.concatenate(predictions), attention


def predict_bags(
    head: Head,
    train: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    *,
    objective: Objective,
    groups: np.ndarray,
    settings: Evaluation,
    seed: int,
    device: torch.device,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Predictions and attention of test bags, averaged over initialisations.

    Each initialisation holds out another part of train for early stopping, so that together they are trained on all of
    it.

    Args:
        head: makes the module that is trained.
        train: training bags, float32 (n, D) each.
        test: test bags, float32 (n, D) each.
        objective: what the head learns from the training bags.
        groups: int (S,), of the training bags.
        settings: epochs, learning rate, batch size and number of initialisations.
        seed: seed of the initialisations.
        device: device to train on.

    Returns:
        Predictions, float64 (T, K), and the attention of each test bag, float32 (n,), which sums to one. If a head's
        attention depends on the output, it is that of the largest one, the most probable class.
    """
    parts = [part for part in holdouts(objective.strata, groups) if objective.can_validate(objective.targets[part[1]])]
    parts = parts or [(np.arange(len(groups)), np.arange(0))]
    objective, scale = objective.to(device), Standardisation.of(*train)
    per_step = max(settings.mil_batch_size, objective.fewest_per_step)
    train_bags, test_bags = (Bags.of(bags, scale, per_step, device) for bags in (train, test))
    predictions, attention = 0.0, [0.0] * len(test)
    for number in range(settings.mil_seeds):
        part = parts[number % len(parts)]
        model = _fit(head, train_bags, objective, part, settings=settings, seed=(seed, number))
        outputs, weights = _outputs(model, test_bags)
        predictions = predictions + objective.predict(outputs).cpu().numpy() / settings.mil_seeds
        attention = [total + each.cpu().numpy() / settings.mil_seeds for total, each in zip(attention, weights)]
    largest = predictions.argmax(1)
    return predictions, [each[:, min(k, each.shape[1] - 1)] for each, k in zip(attention, largest)]


def _fit(
    head: Head,
    bags: Bags,
    objective: Objective,
    part: Round,
    *,
    settings: Evaluation,
    seed: tuple[int, ...],
) -> nn.Module:
    """Train on the first indices of ``part``; keep the epoch with the lowest loss on the second indices, if any."""
    fit, validation = part
    generator = np.random.default_rng(seed)
    device = objective.targets.device
    model = _initialised(head, bags.bags[0].shape[1], objective.outputs, int(generator.integers(2**62))).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.mil_learning_rate, weight_decay=_WEIGHT_DECAY, fused=True
    )
    held_out = objective.targets[validation]
    best, best_epoch, best_state = float("inf"), 0, None
    for epoch in range(settings.mil_epochs):
        for numbers, padded, present in bags.steps(generator.permutation(fit)):
            optimizer.zero_grad()
            objective.loss(model(padded, present)[0], objective.targets[copied(numbers, device)]).backward()
            optimizer.step()
        if len(validation):
            loss = objective.loss(_outputs(model, bags, validation)[0], held_out).item()
            if loss < best:
                best, best_epoch, best_state = loss, epoch, copy.deepcopy(model.state_dict())
            elif epoch - best_epoch >= _PATIENCE_EPOCHS:
                break
    if best_state:
        model.load_state_dict(best_state)
    return model


def _initialised(head: Head, features: int, outputs: int, seed: int) -> nn.Module:
    """A head whose weights depend on the seed alone; torch's global generator is not changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return head(features, outputs)


@torch.no_grad()
def _outputs(model: nn.Module, bags: Bags, which: np.ndarray | None = None) -> tuple[Tensor, list[Tensor]]:
    """Logits (T, S, K), and attention, float32 (n, 1 or K) per bag, of all bags or of some, on the device."""
    order = np.arange(len(bags.bags)) if which is None else which
    logits, attention = [], []
    for numbers, padded, present in bags.steps(order):
        found, weights = model(padded, present)
        logits.append(found)
        attention += [each[: len(bags.bags[number])] for each, number in zip(weights, numbers)]
    return torch.cat(logits), attention
