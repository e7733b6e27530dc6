"""MoCo v3: contrastive learning with a momentum encoder (Chen, Xie and He 2021, arXiv 2104.02057)."""

import math
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from gensis.settings.pretraining import Pretraining
from gensis.ssl.auto import IMAGENET
from gensis.ssl.batch import Batch
from gensis.ssl.contrast import collapse, is_nearest, mlp, own_places, sources_loss
from gensis.ssl.method import Automatic, Losses, Method
from gensis.ssl.networks import BackboneWithHead, patch_px_of
from gensis.ssl.outputs import student_outputs
from gensis.ssl.schedules import cosine
from gensis.ssl.teacher import as_teacher, update_teacher
from gensis.training.distributed import World

WARMUP_EPOCHS, LARGEST_WARMUP = 40, 40 / 300
LONG_EPOCHS = 300


class MoCoV3(Method):
    """The student with a predictor, and the teacher, which is MoCo's momentum encoder, without one."""

    def build(self, student: nn.Module, teacher: nn.Module) -> None:
        """See Method."""
        keys, precision = self.settings.mocov3, self.settings.precision
        hidden, output = keys.head_hidden_dim, keys.head_output_dim
        is_transformer = patch_px_of(student) > 1

        def projector(inputs: int) -> nn.Module:
            widths = [inputs, *[hidden] * (2 if is_transformer else 1), output]
            return mlp(widths, nn.BatchNorm1d(output, affine=False))

        of_student, of_teacher = (projector(backbone.num_features) for backbone in (student, teacher))
        last_norm = nn.BatchNorm1d(output, affine=False) if is_transformer else nn.Identity()
        predictor = mlp([output, hidden, output], last_norm)
        with_predictor = nn.Sequential(OrderedDict(projector=of_student, predictor=predictor))
        self.student = BackboneWithHead(student, with_predictor, precision)
        self.teacher = BackboneWithHead(teacher, of_teacher, precision)
        for own, trained in self._averaged():
            as_teacher(own, trained)
        if is_transformer and keys.freeze_patch_embedding:
            student.patch_embed.requires_grad_(False)

    @staticmethod
    def automatic(settings: Pretraining, images: int, is_transformer: bool) -> Automatic:
        """See Method."""
        images_seen = settings.epochs * images
        return {
            "teacher_momentum": (
                0.996 if images_seen > LONG_EPOCHS * IMAGENET else 0.99,
                f"the authors' values up to {LONG_EPOCHS} epochs of ImageNet, and above",
            ),
            "warmup": (
                min(LARGEST_WARMUP, WARMUP_EPOCHS * IMAGENET / images_seen),
                f"{WARMUP_EPOCHS} epochs of ImageNet, at most their part of {LONG_EPOCHS} epochs (the authors)",
            ),
        }

    def scheduled(self, step: int, steps: int) -> dict[str, float]:
        """See Method."""
        return {"teacher_momentum": cosine(self.settings.mocov3.teacher_momentum, 1.0, step, steps)}

    def losses(self, student: nn.Module, batch: Batch, scheduled: dict[str, float]) -> Losses:
        """See Method."""
        temperature, interpolated, count = self.settings.mocov3.temperature, batch.interpolated, len(batch)
        both = batch.views.global_views.flatten(0, 1)
        if interpolated:
            both = torch.cat([both, interpolated.partners.flatten(0, 1)])
        with torch.no_grad():
            keys = F.normalize(self.teacher(both).float(), dim=1).unflatten(0, (-1, count))
        queries = {kind: F.normalize(of_kind, dim=-1) for kind, of_kind in student_outputs(student, batch).items()}
        one, accuracy = contrast(queries["global"][0], keys[1], temperature, self.world)
        other, of_other = contrast(queries["global"][1], keys[0], temperature, self.world)
        loss = one + other
        if "added" in queries:
            of_added = [contrast(queries["added"][0], own, temperature, self.world)[0] for own in keys[:2]]
            loss = (loss + sum(of_added)) / 2
        logged = {"mocov3": loss.detach(), "contrast_accuracy": (accuracy + of_other) / 2}
        if interpolated:
            of_sources = keys[interpolated.source_slots, torch.arange(count, device=keys.device)]
            pairs = zip(of_sources, keys[2:])
            given = {"interpolated": interpolated, "temperature": temperature, "world": self.world}
            losses = torch.stack([sources_loss(queries["interpolated"][0], *pair, **given) for pair in pairs])
            disentangle = 2 * temperature * losses.mean()
            logged["disentangle"] = disentangle.detach()
            loss = loss + self.settings.disentangle_weight * disentangle
        return Losses(loss, logged)

    def after_update(self, statistics: dict[str, torch.Tensor], scheduled: dict[str, float]) -> dict[str, torch.Tensor]:
        """See Method."""
        for own, trained in self._averaged():
            update_teacher(own, trained, scheduled["teacher_momentum"])
        return {}

    def uniform_loss(self) -> float:
        """That of guessing among the images of a batch, in both directions."""
        return 4 * self.settings.mocov3.temperature * math.log(self.settings.batch_size)

    def collapse(self, row: dict[str, float]) -> str:
        """See Method."""
        return collapse(row["mocov3"], self.uniform_loss())

    def _averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """The teacher's parts, each with the student's part that it averages."""
        return [
            (self.teacher.backbone, self.student.backbone),
            (self.teacher.head, self.student.head.projector),
        ]


def contrast(
    queries: torch.Tensor, keys: torch.Tensor, temperature: float, world: World
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of finding each query's key among those of all processes, times 2 x temperature as in the original.

    Args:
        queries: unit outputs (B, D) of one view of each image.
        keys: unit outputs (B, D) of another, without gradients.
        temperature: of the softmax.
        world: this process among all.

    Returns:
        The mean loss, and the share of queries whose most similar key is their own.
    """
    similarities = queries @ world.gathered(keys).T / temperature
    own = own_places(len(queries), world, queries.device)
    return 2 * temperature * F.cross_entropy(similarities, own), is_nearest(similarities, own)
