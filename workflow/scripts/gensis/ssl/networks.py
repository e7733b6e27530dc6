"""Student and teacher: each a backbone with a head, initially with equal weights."""

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
    """Backbone and head: maps views of several sizes to logits, with one backbone pass per size."""

    def __init__(self, backbone: nn.Module, head: DINOHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, *sizes: torch.Tensor) -> torch.Tensor:
        """Logits (sum of n, K) of batches (n, 3, S, S) of different sides S."""
        return self.head(torch.cat([self.backbone(views) for views in sizes]))

    def parts(self) -> list[nn.Module]:
        """Modules to shard, inner ones first: the backbone's blocks if it has any, the backbone, and this module."""
        return [*getattr(self.backbone, "blocks", ()), self.backbone, self]


@dataclass(frozen=True)
class Networks:
    """The two networks in train mode; the teacher has no gradients."""

    student: BackboneWithHead
    teacher: BackboneWithHead
    backbone_args: dict[str, Any]
    """Arguments that create the teacher's backbone again."""
    resolved: Resolved


def create_networks(settings: Pretraining, images: int, device: torch.device, init: Path | None = None) -> Networks:
    """Create student and teacher with equal weights, drawn from torch's global generator.

    Args:
        settings: of the training; only the student has drop path.
        images: number of images in the train split, from which `auto` is resolved.
        device: of the networks.
        init: folder of an encoder whose weights initialise the backbones; the heads are random.

    Raises:
        UserError: the backbone cannot be created, does not fit that encoder, or does not accept the local views.
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
    # With channels_last, a ResNet-18's convolutions at 32 px are about 1.2 times as fast on a CPU.
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


def _check_local_views(network: BackboneWithHead, name: str, local_px: int, device: torch.device) -> None:
    """Refuse local views that the backbone does not accept, before the first step."""
    try:
        with torch.no_grad():
            network.backbone.eval()(torch.zeros(2, 3, local_px, local_px, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"backbone {name} does not accept local views of {local_px} px ({error}): "
            "set views.local_crops: 0 or another views.local_px"
        ) from error
    finally:
        network.train()


def _patch_px(backbone: nn.Module) -> int:
    """Side of a transformer's patch in pixels; 1 for a convnet."""
    embedding = getattr(backbone, "patch_embed", None)
    patch = getattr(embedding, "patch_size", 1)
    return int(patch[0] if isinstance(patch, tuple) else patch)
