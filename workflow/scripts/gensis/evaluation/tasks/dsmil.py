"""Slide classification by dual-stream attention over a bag's embeddings (DSMIL, Li et al. 2021, arXiv 2011.08939)."""

import math

import torch
from torch import Tensor, nn

from gensis.evaluation.data import TaskData
from gensis.evaluation.measured import Measured
from gensis.evaluation.mil import measure_head


def measure(data: TaskData) -> Measured:
    """Metrics and attention of dual-stream attention."""
    return measure_head(DualStream, data)


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
