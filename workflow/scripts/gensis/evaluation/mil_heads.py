"""Classifiers of bags by attention over their instances.

Bags of unequal size come padded: float32 (B, n, D), with `present` (B, n), False for padding. They give logits
(B, S, K), of one stream or of two that classify the bag each in its own way, and how much each instance weighs,
(B, n, 1), or (B, n, K) where it depends on the class. Each stream is trained by a loss of its own.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def streams_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (B, S, K) with int64 (B,) targets, mean over bags and streams: a scalar."""
    return cross_entropy(logits.flatten(0, 1), targets.repeat_interleave(logits.shape[1]))


def class_probabilities(logits: Tensor) -> Tensor:
    """Mean over the streams, float64 (B, K), of logits (B, S, K)."""
    return logits.double().softmax(dim=2).mean(dim=1)


class GatedAttention(nn.Module):
    """Weighted mean of a bag's projected instances, and a linear classifier of it (Ilse et al. 2018, eq. 7 and 9)."""

    def __init__(self, features: int, classes: int, hidden: int = 128, attention: int = 64):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
        self.value = nn.Sequential(nn.Linear(hidden, attention), nn.Tanh())
        self.gate = nn.Sequential(nn.Linear(hidden, attention), nn.Sigmoid())
        self.score = nn.Linear(attention, 1)
        self.classify = nn.Linear(hidden, classes)

    def forward(self, bags: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of one stream, and attention. The order of the instances does not matter."""
        instances = self.project(bags)
        score = self.score(self.value(instances) * self.gate(instances))
        attention = score.masked_fill(~present[..., None], -torch.inf).softmax(dim=1)
        return self.classify((attention * instances).sum(dim=1, keepdim=True)), attention


class DualStream(nn.Module):
    """For each class the highest score of an instance, and a mean weighted by likeness to that critical instance.

    Li et al. 2021 (DSMIL, arXiv 2011.08939), section 3.2, with the query network of their program
    (binli123/dsmil-wsi) and its loss, half of each stream's. They take a sigmoid for each class, and average the two
    streams if asked to; here classes exclude each other, and the average is what counts.
    """

    def __init__(self, features: int, classes: int, hidden: int = 128):
        super().__init__()
        self.score = nn.Linear(features, classes)
        self.query = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.Tanh())
        self.classify = nn.Conv1d(classes, classes, kernel_size=features)

    def forward(self, bags: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the highest scores and of the weighted mean, and attention by class."""
        absent = ~present[..., None]
        highest, critical = self.score(bags).masked_fill(absent, -torch.inf).max(dim=1)
        queries = self.query(bags)
        width = queries.shape[2]
        critical_queries = queries.gather(1, critical[..., None].expand(-1, -1, width))
        likeness = queries @ critical_queries.mT / math.sqrt(width)
        attention = likeness.masked_fill(absent, -torch.inf).softmax(dim=1)
        return torch.stack([highest, self.classify(attention.mT @ bags).squeeze(2)], dim=1), attention
