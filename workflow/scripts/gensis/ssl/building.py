"""Builds the networks of a training, with every `auto` resolved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gensis.settings.pretraining import Pretraining
from gensis.ssl.accumulation import check_statistics
from gensis.ssl.auto import Resolved, resolve
from gensis.ssl.class_token import class_token_only
from gensis.ssl.method import Method, method_class
from gensis.ssl.networks import check_local_views, create_backbones, memory_format_of, patch_px_of
from gensis.training.distributed import World


@dataclass(frozen=True)
class Built:
    """A method with its networks in their initial state."""

    method: Method
    resolved: Resolved
    backbone_args: dict[str, Any]
    """Arguments that create the backbone again."""


def build(settings: Pretraining, images: int, *, world: World, device: torch.device, init: Path | None = None) -> Built:
    """Create the networks of a method and resolve every `auto`.

    Args:
        settings: of the training.
        images: number of images in the train split.
        world: this process among all.
        device: of the networks.
        init: folder of the encoder whose weights initialise the backbone.

    Raises:
        UserError: the backbone is not known, or does not fit its arguments, the size of the views or `init`; or the
            number of parts of a batch would change results.
    """
    method_type = method_class(settings.method)
    backbones, backbone_args = create_backbones(settings, init)
    patch_px, layout = patch_px_of(backbones[0]), memory_format_of(backbones[0])
    resolved = resolve(settings, images, patch_px, method_type.automatic(settings, images, patch_px > 1))
    if not method_type.needs_patch_tokens:
        backbones = [class_token_only(backbone) for backbone in backbones]
    method: Method = method_type(resolved.settings, backbones, world).to(device, memory_format=layout)
    check_statistics(method, resolved.settings)
    if resolved.settings.views.local_crops:
        check_local_views(method.student, resolved.settings, device)
    return Built(method, resolved, backbone_args)
