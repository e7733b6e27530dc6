"""Slide classification by gated attention over a bag's embeddings (ABMIL, Ilse et al. 2018, arXiv 1802.04712)."""

import torch
from torch import Tensor, nn

from gensis.evaluation.data import TaskData
from gensis.evaluation.measured import Measured
from gensis.evaluation.mil import measure_head


def measure(data: TaskData) -> Measured:
    """Metrics and attention of gated attention."""
    return measure_head(GatedAttention, data)


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
