"""Student and teacher: a backbone each with its head, which begin equal."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gensis.errors import UserError
from gensis.settings.pretraining import Pretraining
from gensis.ssl.auto import Resolved, resolve
from gensis.ssl.backbone import create_backbone, load_weights
from gensis.ssl.class_token import class_token_only
from gensis.ssl.head import DINOHead

log = logging.getLogger(__name__)


class BackboneWithHead(nn.Module):
    """Backbone and head: views of several sizes to logits, one backbone pass a size."""

    def __init__(self, backbone: nn.Module, head: DINOHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, *sizes: torch.Tensor) -> torch.Tensor:
        """Logits (sum of n, K) of batches (n, 3, S, S) of different sides S."""
        return self.head(torch.cat([self.backbone(views) for views in sizes]))

    def parts(self) -> list[nn.Module]:
        """Blocks of the backbone where it has any, the backbone and all: what runs as one, inner ones first."""
        return [*getattr(self.backbone, "blocks", ()), self.backbone, self]


@dataclass(frozen=True)
class Networks:
    """The two networks, in train mode; the teacher asks for no gradient."""

    student: BackboneWithHead
    teacher: BackboneWithHead
    backbone_args: dict[str, Any]
    """That make the teacher's backbone again."""
    resolved: Resolved


def create_networks(settings: Pretraining, images: int, device: torch.device, init: Path | None = None) -> Networks:
    """Make student and teacher with equal weights, drawn from torch's global generator.

    Args:
        settings: with drop path, which the teacher does without.
        images: in the train split; they decide what stands as `auto`.
        device: where they are to be.
        init: folder of an encoder whose weights the backbones begin with; the heads are drawn.

    Raises:
        UserError: the backbone cannot be made, does not fit that encoder, or does not take local views of their size.
    """
    student, backbone_args = create_backbone(
        settings.backbone, settings.image_px, settings.backbone_args, settings.drop_path
    )
    teacher, _ = create_backbone(settings.backbone, settings.image_px, settings.backbone_args)
    if init:
        load_weights(student, settings.backbone, backbone_args, init)
    patch_px = _patch_px(student)
    is_transformer = patch_px > 1
    resolved = resolve(settings, images, is_transformer, patch_px)
    for field, reason in resolved.reasons.items():
        log.info("%s: %s for %d images (%s)", field, getattr(resolved, field), images, reason)
    # A ResNet-18's convolutions at 32 px are about 1.2 times as fast so on a CPU.
    layout = torch.preserve_format if is_transformer else torch.channels_last
    student, teacher = (
        BackboneWithHead(
            class_token_only(backbone),
            DINOHead(
                backbone.num_features,
                resolved.prototypes,
                settings.head_hidden_dim,
                settings.head_bottleneck_dim,
                resolved.head_batch_norm,
            ),
        ).to(device, memory_format=layout)
        for backbone in (student, teacher)
    )
    teacher.load_state_dict(student.state_dict())
    teacher.requires_grad_(False)
    if settings.views.local_crops:
        _check_local_views(teacher, settings.backbone, resolved.local_px, device)
    return Networks(student, teacher, backbone_args, resolved)


def _check_local_views(projector: BackboneWithHead, name: str, local_px: int, device: torch.device) -> None:
    """Refuse local views that the backbone cannot take before the first step, not in the middle of it."""
    try:
        with torch.no_grad():
            projector.backbone.eval()(torch.zeros(2, 3, local_px, local_px, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"backbone {name} does not take local views of {local_px} px ({error}): "
            "set views.local_crops: 0 or another views.local_px"
        ) from error
    finally:
        projector.train()


def _patch_px(backbone: nn.Module) -> int:
    """Side of a transformer's patch in pixels; 1 for a convnet."""
    embedding = getattr(backbone, "patch_embed", None)
    patch = getattr(embedding, "patch_size", 1)
    return int(patch[0] if isinstance(patch, tuple) else patch)
