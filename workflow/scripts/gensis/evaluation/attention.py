"""Classifiers of bags by attention over their instances.

Bags of unequal size come padded: float32 (B, n, D), with `present` (B, n), False for padding. They give logits (B, K)
and how much each instance weighs, (B, n, 1), or (B, n, K) where it depends on the class.
"""

import math

import torch
from torch import Tensor, nn


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
        """Logits and attention. The order of the instances does not matter."""
        instances = self.project(bags)
        score = self.score(self.value(instances) * self.gate(instances))
        attention = score.masked_fill(~present[..., None], -torch.inf).softmax(dim=1)
        return self.classify((attention * instances).sum(dim=1)), attention


class DualStream(nn.Module):
    """For each class the highest score of an instance, and a mean weighted by likeness to that critical instance.

    Li et al. 2021 (DSMIL, arXiv 2011.08939), section 3.2, with the query network of their program.
    """

    def __init__(self, features: int, classes: int, hidden: int = 128):
        super().__init__()
        self.score = nn.Linear(features, classes)
        self.query = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.Tanh())
        self.classify = nn.Conv1d(classes, classes, kernel_size=features)

    def forward(self, bags: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, half of them from each stream, and attention by class."""
        absent = ~present[..., None]
        highest, critical = self.score(bags).masked_fill(absent, -torch.inf).max(dim=1)
        queries = self.query(bags)
        width = queries.shape[2]
        critical_queries = queries.gather(1, critical[..., None].expand(-1, -1, width))
        likeness = queries @ critical_queries.mT / math.sqrt(width)
        attention = likeness.masked_fill(absent, -torch.inf).softmax(dim=1)
        return (highest + self.classify(attention.mT @ bags).squeeze(2)) / 2, attention
