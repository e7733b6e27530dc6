"""Heads of multiple-instance learning: attention over the instances of a bag.

Inputs are padded bags, float32 (B, n, D), and `present`, bool (B, n), False for padding. Outputs are logits (B, S, K)
of one or two streams, each of which classifies the bag, and the attention of each instance, (B, n, 1), or (B, n, K) if
it depends on the class. Each stream has its own loss.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def streams_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (B, S, K) and int64 (B,) targets, mean over bags and streams: a scalar."""
    return cross_entropy(logits.flatten(0, 1), targets.repeat_interleave(logits.shape[1]))


def class_probabilities(logits: Tensor) -> Tensor:
    """Class probabilities, float64 (B, K), of logits (B, S, K): the mean over streams."""
    return logits.double().softmax(dim=2).mean(dim=1)


class GatedAttention(nn.Module):
    """Attention-weighted mean of a bag's projected instances, classified linearly (Ilse et al. 2018, eq. 7 and 9)."""

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
    """Two streams: the highest instance score of each class, and a mean weighted by similarity to that instance.

    Li et al. 2021 (DSMIL, arXiv 2011.08939), section 3.2, with the query network and the loss of their implementation
    (binli123/dsmil-wsi): the mean of both streams' losses. They use a sigmoid for each class and average the streams
    optionally. Here classes are exclusive (softmax), and the streams are always averaged.
    """

    def __init__(self, features: int, classes: int, hidden: int = 128):
        super().__init__()
        self.score = nn.Linear(features, classes)
        self.query = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.Tanh())
        self.classify = nn.Conv1d(classes, classes, kernel_size=features)

    def forward(self, bags: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of both streams, (B, 2, K), and attention by class, (B, n, K)."""
        absent = ~present[..., None]
        highest, critical = self.score(bags).masked_fill(absent, -torch.inf).max(dim=1)
        queries = self.query(bags)
        width = queries.shape[2]
        critical_queries = queries.gather(1, critical[..., None].expand(-1, -1, width))
        similarity = queries @ critical_queries.mT / math.sqrt(width)
        attention = similarity.masked_fill(absent, -torch.inf).softmax(dim=1)
        return torch.stack([highest, self.classify(attention.mT @ bags).squeeze(2)], dim=1), attention
