"""SimCLR: two views of an image are more alike than views of different images (Chen et al. 2020, arXiv 2002.05709)."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from gensis.settings.pretraining import Pretraining
from gensis.ssl.auto import by_size
from gensis.ssl.batch import Batch
from gensis.ssl.contrast import collapse, is_nearest, mlp, own_places, sources_loss
from gensis.ssl.method import Automatic, Losses, Method
from gensis.ssl.networks import BackboneWithHead
from gensis.ssl.outputs import student_outputs
from gensis.training.distributed import World


class SimCLR(Method):
    """One network, whose outputs for all views of a batch in all processes are compared."""

    def build(self, student: nn.Module) -> None:
        """See Method."""
        keys = self.settings.simclr
        widths = [student.num_features, keys.head_hidden_dim, keys.head_output_dim]
        head = mlp(widths, nn.BatchNorm1d(keys.head_output_dim))
        self.student = BackboneWithHead(student, head, self.settings.precision)

    @staticmethod
    def automatic(settings: Pretraining, images: int, is_transformer: bool) -> Automatic:
        """See Method."""
        reason = "the authors' 0.1 at the size of ImageNet; softer for small sets, on the way to their 0.5 for CIFAR-10"
        return {"temperature": (by_size(0.2, 0.1, images), reason)}

    def losses(self, student: nn.Module, batch: Batch, scheduled: dict[str, float]) -> Losses:
        """See Method."""
        temperature, interpolated = self.settings.simclr.temperature, batch.interpolated
        outputs = {
            kind: F.normalize(of_kind, dim=-1)
            for kind, of_kind in student_outputs(student, batch, with_partners=True).items()
        }
        both = outputs["global"]
        loss, accuracy = nt_xent(both, temperature, self.world)
        if "added" in outputs:
            pairs = (torch.stack([real, outputs["added"][0]]) for real in both)
            of_added = torch.stack([nt_xent(pair, temperature, self.world)[0] for pair in pairs])
            loss = (loss + of_added.mean()) / 2
        logged = {"simclr": loss.detach(), "contrast_accuracy": accuracy}
        if interpolated:
            of_sources = both[interpolated.source_slots, torch.arange(len(batch), device=both.device)]
            disentangle = torch.stack(
                [
                    sources_loss(
                        outputs["interpolated"][0],
                        *pair,
                        interpolated=interpolated,
                        temperature=temperature,
                        world=self.world,
                    )
                    for pair in zip(of_sources, outputs["partners"])
                ]
            ).mean()
            logged["disentangle"] = disentangle.detach()
            loss = loss + self.settings.disentangle_weight * disentangle
        return Losses(loss, logged)

    def uniform_loss(self) -> float:
        """The logarithm of the number of other views in a batch."""
        return math.log(2 * self.settings.batch_size - 1)

    def collapse(self, row: dict[str, float]) -> str:
        """See Method."""
        return collapse(row["simclr"], self.uniform_loss())


def nt_xent(outputs: torch.Tensor, temperature: float, world: World) -> tuple[torch.Tensor, torch.Tensor]:
    """The normalised temperature-scaled cross-entropy (Chen et al., equation 1), over the images of all processes.

    Args:
        outputs: unit outputs (2, B, D) of two views of each image.
        temperature: of the softmax.
        world: this process among all.

    Returns:
        The mean loss over this process's 2 x B views, and the share of them whose most similar view is the positive.
    """
    own = outputs.flatten(0, 1)
    similarities = own @ world.gathered(own).T / temperature
    itself = own_places(len(own), world, own.device)
    similarities = similarities.scatter(1, itself.unsqueeze(1), -torch.inf)
    positives = itself.unflatten(0, (2, -1)).flip(0).flatten()
    return F.cross_entropy(similarities, positives), is_nearest(similarities, positives)
