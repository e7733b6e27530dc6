"""Slide classification by multiple-instance learning (MIL) on bags of embeddings, with early stopping.

Probabilities are averaged over several initialisations. Inputs of the head's module are padded bags, float32 (B, n, D),
and `present`, bool (B, n), False for padding. Its outputs are logits (B, S, K) of one or more streams, each of which
classifies the bag, and the attention of each instance, (B, n, 1), or (B, n, K) if it depends on the class. Each stream
has its own loss.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from gensis.evaluation.data import TaskData
from gensis.evaluation.folds import Round, holdouts
from gensis.evaluation.measured import Measured, Probabilities, classified
from gensis.evaluation.predictions import Attention
from gensis.evaluation.protocol import pooled
from gensis.evaluation.standardisation import Standardisation
from gensis.settings.evaluation import Evaluation
from gensis.training.device import copied

Head = Callable[[int, int], nn.Module]
"""Function of the number of features and of classes: the module that is trained."""
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
    """Metrics and attention of a head on the slides of a task."""
    slides = data.items
    attention: Attention = {}

    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        probabilities, weights = classify_bags(
            head,
            [slides.bag(i) for i in train],
            [slides.bag(i) for i in test],
            labels=slides.labels[train],
            groups=slides.groups[train],
            classes=len(slides.classes),
            settings=data.settings,
            seed=data.seed,
            device=data.device,
        )
        for bag, values in zip(test, weights):
            attention.update(slides.by_slide(bag, values))
        return {"": probabilities}

    return classified(data, pooled(data.protocol, predict), attention)


def classify_bags(
    head: Head,
    train: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    *,
    labels: np.ndarray,
    groups: np.ndarray,
    classes: int,
    settings: Evaluation,
    seed: int,
    device: torch.device,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Class probabilities and attention of test bags, averaged over initialisations.

    Each initialisation holds out another part of train for early stopping, so that together they are trained on all of
    it.

    Args:
        head: makes the module that is trained.
        train: training bags, float32 (n, D) each.
        test: test bags, float32 (n, D) each.
        labels: int (S,), of the training bags.
        groups: int (S,), of the training bags.
        classes: number of classes K.
        settings: epochs, learning rate, batch size and number of initialisations.
        seed: seed of the initialisations.
        device: device to train on.

    Returns:
        Probabilities, float64 (T, K), and the attention of each test bag, float32 (n,), which sums to one. If a head's
        attention depends on the class, it is that of the most probable class.
    """
    scale = Standardisation.of(*train)
    train_bags, test_bags = (Bags.of(bags, scale, settings.mil_batch_size, device) for bags in (train, test))
    targets = torch.from_numpy(labels).to(device)
    parts = holdouts(labels, groups) or [(np.arange(len(labels)), np.arange(0))]
    probabilities, attention = 0.0, [0.0] * len(test)
    for number in range(settings.mil_seeds):
        part = parts[number % len(parts)]
        model = _fit(head, train_bags, targets, part, classes=classes, settings=settings, seed=(seed, number))
        logits, weights = _outputs(model, test_bags)
        probabilities = probabilities + class_probabilities(logits).cpu().numpy() / settings.mil_seeds
        attention = [total + each.cpu().numpy() / settings.mil_seeds for total, each in zip(attention, weights)]
    likeliest = probabilities.argmax(1)
    return probabilities, [each[:, min(k, each.shape[1] - 1)] for each, k in zip(attention, likeliest)]


def _fit(
    head: Head,
    bags: Bags,
    targets: Tensor,
    part: Round,
    *,
    classes: int,
    settings: Evaluation,
    seed: tuple[int, ...],
) -> nn.Module:
    """Train on the first indices of ``part``; keep the epoch with the lowest loss on the second indices, if any."""
    fit, validation = part
    generator = np.random.default_rng(seed)
    model = _initialised(head, bags.bags[0].shape[1], classes, int(generator.integers(2**62))).to(targets.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.mil_learning_rate, weight_decay=_WEIGHT_DECAY, fused=True
    )
    held_out = targets[validation]
    best, best_epoch, best_state = float("inf"), 0, None
    for epoch in range(settings.mil_epochs):
        for numbers, padded, present in bags.steps(generator.permutation(fit)):
            optimizer.zero_grad()
            streams_loss(model(padded, present)[0], targets[copied(numbers, targets.device)]).backward()
            optimizer.step()
        if len(validation):
            loss = streams_loss(_outputs(model, bags, validation)[0], held_out).item()
            if loss < best:
                best, best_epoch, best_state = loss, epoch, copy.deepcopy(model.state_dict())
            elif epoch - best_epoch >= _PATIENCE_EPOCHS:
                break
    if best_state:
        model.load_state_dict(best_state)
    return model


def _initialised(head: Head, features: int, classes: int, seed: int) -> nn.Module:
    """A head whose weights depend on the seed alone; torch's global generator is not changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return head(features, classes)


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


def streams_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (B, S, K) and int64 (B,) targets, mean over bags and streams: a scalar."""
    return cross_entropy(logits.flatten(0, 1), targets.repeat_interleave(logits.shape[1]))


def class_probabilities(logits: Tensor) -> Tensor:
    """Class probabilities, float64 (B, K), of logits (B, S, K): the mean over streams."""
    return logits.double().softmax(dim=2).mean(dim=1)
