"""DINO, self-distillation without labels (Caron et al. 2021, arXiv 2104.14294), and with a bank Gen-DINO.

Collapse is detected from two entropies of the teacher's targets. Its bounds are fractions of ln K, the largest entropy
over K prototypes. In trainings of a small network on 10,000 images of 32 px with 1,024 prototypes, healthy trainings
had an entropy of 0.16 to 0.82 per image, 0.63 to 1.00 for the mean of a batch, and a difference of at least 0.14; a
collapsed training had 0.995, 1.00 and 0.004.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from gensis.settings.pretraining import Pretraining
from gensis.ssl.auto import IMAGENET, by_size
from gensis.ssl.batch import Batch, InterpolatedViews
from gensis.ssl.method import Automatic, Losses, Method
from gensis.ssl.networks import BackboneWithHead
from gensis.ssl.outputs import student_outputs
from gensis.ssl.schedules import cosine, linear_warmup
from gensis.ssl.teacher import as_teacher, update_teacher

TEMPERATURE_WARMUP_EPOCHS, LARGEST_TEMPERATURE_WARMUP = 30, 0.3
FEW = 0.05
"""Entropy of a batch's mean target if it is almost one prototype: 0.35 nats of K = 1,024 are 1.4 prototypes."""
UNIFORM = 0.99
"""Entropy of an image's target if it is almost uniform."""
SAME = 0.01
"""Difference of the two entropies: the mutual information between image and prototype."""


class DINO(Method):
    """Student, teacher, and the running mean of the teacher's logits."""

    def build(self, student: nn.Module, teacher: nn.Module) -> None:
        """See Method."""
        keys = self.settings.dino
        self.student, self.teacher = (
            BackboneWithHead(
                backbone,
                DINOHead(
                    backbone.num_features,
                    prototypes=keys.prototypes,
                    hidden=keys.head_hidden_dim,
                    bottleneck=keys.head_bottleneck_dim,
                    batch_norm=keys.head_batch_norm,
                ),
                self.settings.precision,
            )
            for backbone in (student, teacher)
        )
        as_teacher(self.teacher, self.student)
        self.register_buffer("centre", torch.zeros(keys.prototypes))

    @staticmethod
    def automatic(settings: Pretraining, images: int, is_transformer: bool) -> Automatic:
        """See Method."""
        temperature, given = by_size(0.02, 0.04, images), settings.dino.teacher_temperature
        return {
            "prototypes": (
                _prototypes(images),
                "on small data sets most of 65,536 prototypes are unused (bounds of lightly-train)",
            ),
            "teacher_temperature": (
                temperature,
                "sharper targets are less uniform on small sets (facebookresearch/dino issue 43; lightly-train)",
            ),
            "teacher_temperature_start": (
                temperature if given == "auto" else given,
                "the same as teacher_temperature (the authors' default)",
            ),
            "teacher_temperature_warmup": (
                min(LARGEST_TEMPERATURE_WARMUP, TEMPERATURE_WARMUP_EPOCHS * IMAGENET / (settings.epochs * images)),
                f"{TEMPERATURE_WARMUP_EPOCHS} epochs of ImageNet, at most {LARGEST_TEMPERATURE_WARMUP} of all steps "
                "(the authors; lightly-train)",
            ),
            "teacher_momentum": (
                by_size(0.99, 0.996, images),
                "longer trainings average over more steps (lightly-train; the authors' value at the size of ImageNet)",
            ),
            "head_batch_norm": (
                not is_transformer,
                "a convnet was 1.6 points worse without it on 10,000 images; transformers follow the authors",
            ),
        }

    def scheduled(self, step: int, steps: int) -> dict[str, float]:
        """See Method."""
        keys = self.settings.dino
        warmup = round(keys.teacher_temperature_warmup * steps)
        return {
            "teacher_momentum": cosine(keys.teacher_momentum, 1.0, step, steps),
            "teacher_temperature": linear_warmup(
                keys.teacher_temperature_start, keys.teacher_temperature, step, warmup
            ),
        }

    def losses(self, student: nn.Module, batch: Batch, scheduled: dict[str, float]) -> Losses:
        """See Method."""
        views, interpolated, count = batch.views, batch.interpolated, len(batch)
        temperature, student_temperature = scheduled["teacher_temperature"], self.settings.dino.student_temperature
        both = views.global_views.flatten(0, 1)
        of_teacher = torch.cat([both, interpolated.partners.flatten(0, 1)]) if interpolated else both
        with torch.no_grad():
            teacher_logits = self.teacher(of_teacher).float().unflatten(0, (-1, count))
        outputs = student_outputs(student, batch)
        targets = teacher_targets(teacher_logits[:2], self.centre, temperature)
        logged = {"teacher_entropy": entropy(targets)}
        if interpolated:
            mixed = self._disentangle_targets(teacher_logits, interpolated, temperature)
            counted = mixed.mean(0) * interpolated.counts.unsqueeze(1)
            logged["disentangle"] = cross_entropy(counted, outputs["interpolated"][0], student_temperature)
        student_logits = [logits for kind in ("global", "added", "local") for logits in outputs.get(kind, ())]
        logged["dino"] = loss = dino_loss(targets, student_logits, student_temperature)
        if interpolated:
            loss = loss + self.settings.disentangle_weight * logged["disentangle"]
        means = {"logits": teacher_logits[:2].mean((0, 1)), "targets": targets.mean((0, 1))}
        return Losses(loss, {name: value.detach() for name, value in logged.items()}, means)

    def before_update(self, step: int, steps: int) -> None:
        """Freeze the prototypes at the start of the training."""
        if step < round(self.settings.dino.freeze_last_layer * steps):
            self.student.head.prototypes.grad = None

    def after_update(self, statistics: dict[str, torch.Tensor], scheduled: dict[str, float]) -> dict[str, torch.Tensor]:
        """See Method."""
        update_teacher(self.teacher, self.student, scheduled["teacher_momentum"])
        momentum = self.settings.dino.centre_momentum
        self.centre = self.centre * momentum + statistics["logits"] * (1 - momentum)
        return {"teacher_batch_entropy": entropy(statistics["targets"])}

    def uniform_loss(self) -> float:
        """ln K."""
        return math.log(self.settings.dino.prototypes)

    def collapse(self, row: dict[str, float]) -> str:
        """See Method."""
        return collapse(row["teacher_entropy"], row["teacher_batch_entropy"], self.settings.dino.prototypes)

    def _disentangle_targets(
        self, teacher_logits: torch.Tensor, interpolated: InterpolatedViews, temperature: float
    ) -> torch.Tensor:
        """Targets (T, B, K) of interpolated images from logits (2 + T, B, K) of the sources' and partners' views."""
        rows = torch.arange(teacher_logits.shape[1], device=teacher_logits.device)
        of_sources = teacher_logits[interpolated.source_slots, rows]
        mixed = mixed_logits(of_sources, teacher_logits[2:], interpolated.alpha)
        return teacher_targets(mixed, self.centre, temperature)


class DINOHead(nn.Module):
    """Three-layer MLP to a bottleneck, L2 normalisation, and cosine similarity to K prototypes of unit norm.

    Caron et al., appendix C.
    """

    def __init__(self, inputs: int, *, prototypes: int, hidden: int, bottleneck: int, batch_norm: bool):
        super().__init__()
        layers: list[nn.Module] = []
        for width in (inputs, hidden):
            layers += [nn.Linear(width, hidden), *([nn.BatchNorm1d(hidden)] if batch_norm else []), nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        # The direction part of a weight-normed layer whose gain is fixed at 1 (`norm_last_layer` of the original).
        # It is initialised like a linear layer: shorter vectors are turned more by an update of equal length.
        bound = bottleneck**-0.5
        self.prototypes = nn.Parameter(torch.empty(prototypes, bottleneck).uniform_(-bound, bound))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of features (B, D)."""
        return F.linear(F.normalize(self.mlp(features), dim=-1), F.normalize(self.prototypes, dim=-1))


def teacher_targets(logits: torch.Tensor, centre: torch.Tensor, temperature: float) -> torch.Tensor:
    """Centred and sharpened teacher outputs: softmax((logits - centre) / temperature), (..., K) float32."""
    return F.softmax((logits.float() - centre) / temperature, dim=-1)


def cross_entropy(targets: torch.Tensor, student_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean cross-entropy of student (B, K) logits under (B, K) targets."""
    return -(targets * F.log_softmax(student_logits.float() / temperature, dim=-1)).sum(-1).mean()


def dino_loss(targets: torch.Tensor, student_logits: list[torch.Tensor], temperature: float) -> torch.Tensor:
    """Cross-entropy over all pairs of a teacher's view and a different student's view (Caron et al., equation 3).

    Args:
        targets: (T, B, K), the teacher's targets of the first T views.
        student_logits: V tensors (B, K); the first T are for the teacher's views.
        temperature: the student's.

    Returns:
        The mean over the T * V - T pairs and over the batch.
    """
    # The loss is linear in the targets, so each view is compared once with the sum of its targets.
    of_all, losses = targets.sum(0), []
    for number, logits in enumerate(student_logits):
        paired = of_all - targets[number] if number < len(targets) else of_all
        losses.append(cross_entropy(paired, logits, temperature))
    return torch.stack(losses).sum() / (len(targets) * (len(student_logits) - 1))


def mixed_logits(sources: torch.Tensor, partners: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Teacher logits for images interpolated between a source and its partner (Gen-SIS, arXiv 2412.01672, algorithm 1).

    The teacher's LOGITS are interpolated, before centring and softmax. The targets are then the normalised weighted
    geometric mean of the two DINO targets, unlike mixup's arithmetic mean.

    Args:
        sources: logits (..., B, K) of a view of the source.
        partners: logits (..., B, K) of a view of the partner.
        alpha: (B,) weight of the source.
    """
    weight = alpha.float().unsqueeze(1)
    return weight * sources.float() + (1 - weight) * partners.float()


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Mean entropy in nats of (..., K) distributions."""
    return -(probabilities * probabilities.clamp(min=1e-12).log()).sum(-1).mean()


def collapse(teacher_entropy: float, teacher_batch_entropy: float, prototypes: int) -> str:
    """Describe how the teacher has collapsed.

    Args:
        teacher_entropy: mean entropy of an image's target, nats.
        teacher_batch_entropy: entropy of a batch's mean target, nats; at least teacher_entropy.
        prototypes: K.

    Returns:
        Kind of collapse and what to change; empty if there is none.
    """
    if prototypes < 2:
        return ""
    of_image, of_batch = (entropy / math.log(prototypes) for entropy in (teacher_entropy, teacher_batch_entropy))
    if of_batch < FEW:
        return "all images share one prototype (both entropies near 0): lower centre_momentum"
    if of_image > UNIFORM:
        return "targets are uniform (both entropies near ln K): lower teacher_temperature"
    if of_batch - of_image < SAME:
        return "all images get the same target (both entropies are equal): lower learning_rate"
    return ""


def _prototypes(images: int) -> int:
    """Number of prototypes; the bounds are those of lightly-train."""
    bounds = {20_000: 1024, 50_000: 2048, 100_000: 4096, 200_000: 16_384, 500_000: 32_768}
    return next((count for bound, count in bounds.items() if images <= bound), 65_536)
