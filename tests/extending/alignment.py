"""Alignment and uniformity (Wang and Isola 2020, arXiv 2005.10242): an example of an SSL method."""

import torch
from torch import nn
from torch.nn import functional as F

from gensis.ssl import method
from gensis.ssl.batch import Batch
from gensis.ssl.method import Losses
from gensis.ssl.networks import BackboneWithHead


class Method(method.Method):
    """Views of one image become alike, and views of all images spread over the sphere."""

    def build(self, student: nn.Module) -> None:
        """See Method."""
        self.student = BackboneWithHead(student, nn.Linear(student.num_features, 32), self.settings.precision)

    def losses(self, student: nn.Module, batch: Batch, scheduled: dict[str, float]) -> Losses:
        """See Method."""
        outputs = F.normalize(student(batch.views.global_views.flatten(0, 1)).float(), dim=1)
        first, second = outputs.chunk(2)
        alignment = (first - second).square().sum(1).mean()
        uniformity = torch.pdist(outputs).square().mul(-2).exp().mean().log()
        loss = alignment + uniformity
        return Losses(loss, {"alignment": loss.detach()})
