"""The networks of a training: backbones, each with a head."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from gensis.errors import UserError
from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining
from gensis.ssl.backbone import create_backbone, load_weights
from gensis.ssl.continued import check_patches, prepare
from gensis.ssl.drop_path import replace_drop_paths


class BackboneWithHead(nn.Module):
    """Backbone and head: maps views of several sizes to outputs of the head, with one backbone pass per size."""

    def __init__(self, backbone: nn.Module, head: nn.Module, precision: str = "float32"):
        """Combine them; ``precision`` is that of the forward pass: `float32` or `bfloat16`."""
        super().__init__()
        self.backbone = backbone
        self.head = head
        self._in_bfloat16 = precision == "bfloat16"
        self._in_eval_mode: tuple[str, ...] = ()

    def keep_in_eval_mode(self, modules: tuple[str, ...]) -> None:
        """Keep these modules of the backbone, by name, in eval mode, and no others; '' is the whole backbone."""
        if modules != self._in_eval_mode:
            self._in_eval_mode = modules
            self.train(self.training)

    def train(self, mode: bool = True) -> "BackboneWithHead":
        """See Module; also `keep_in_eval_mode`."""
        super().train(mode)
        for name in self._in_eval_mode:
            self.backbone.get_submodule(name).eval()
        return self

    def forward(self, *sizes: torch.Tensor, synthetic: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs (sum of n, K) for batches (n, 3, S, S) of different sides S.

        Views of ``synthetic`` images come last. BatchNorm in the backbone normalises them with their own statistics,
        and its running statistics, which the published encoder uses, stay those of the other views.
        """
        with torch.autocast(sizes[0].device.type, torch.bfloat16, enabled=self._in_bfloat16):
            features = [self.backbone(views) for views in sizes]
            if synthetic is not None:
                copies = {name: buffer.clone() for name, buffer in self.backbone.named_buffers()}
                features.append(functional_call(self.backbone, copies, synthetic))
            return self.head(torch.cat(features))

    def parts(self) -> list[nn.Module]:
        """Modules to shard, inner ones first: the backbone's blocks if it has any, the backbone, and this module."""
        return [*getattr(self.backbone, "blocks", ()), self.backbone, self]


def create_backbones(settings: Pretraining, init: Path | None = None) -> tuple[list[nn.Module], dict[str, Any]]:
    """Create the student's backbone and, if the method has a teacher, the teacher's, with torch's global generator.

    Args:
        settings: of the training; only the student has drop path.
        init: folder of an encoder whose weights initialise the student.

    Returns:
        The backbones, and the arguments that create the published one again.

    Raises:
        UserError: the backbone cannot be created, or does not fit that encoder.
    """
    student, backbone_args = create_backbone(
        settings.backbone, settings.image_px, settings.backbone_args, settings.drop_path
    )
    replace_drop_paths(student)
    backbones = [student]
    if METHODS[settings.method].has_teacher:
        backbones.append(create_backbone(settings.backbone, settings.image_px, settings.backbone_args)[0])
    if init:
        load_weights(student, settings.backbone, backbone_args, init)
    if settings.continued:
        check_patches(student, init)
        for backbone in backbones:
            prepare(backbone, settings.continued)
    return backbones, backbone_args


def check_local_views(network: BackboneWithHead, settings: Pretraining, device: torch.device) -> None:
    """Refuse local views that the backbone does not accept, before the first step."""
    local_px = settings.views.local_px
    try:
        with torch.no_grad():
            network.backbone.eval()(torch.zeros(2, 3, local_px, local_px, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"backbone {settings.backbone} does not accept local views of {local_px} px ({error}): "
            "set views.local_crops: 0 or another views.local_px"
        ) from error
    finally:
        network.train()


def patch_px_of(backbone: nn.Module) -> int:
    """Side of a transformer's patch in pixels; 1 for a convnet."""
    embedding = getattr(backbone, "patch_embed", None)
    patch = getattr(embedding, "patch_size", 1)
    return int(patch[0] if isinstance(patch, tuple) else patch)


def memory_format_of(backbone: nn.Module) -> torch.memory_format:
    """With channels_last, a ResNet-18's convolutions at 32 px are about 1.2 times as fast on a CPU."""
    return torch.preserve_format if patch_px_of(backbone) > 1 else torch.channels_last
