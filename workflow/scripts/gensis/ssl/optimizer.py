"""The optimizer of pre-training, and gradient clipping as in the original code."""

from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from gensis.settings.continued import Continued
from gensis.settings.pretraining import Pretraining
from gensis.ssl.continued import learning_rate_scales


def make_optimizer(model: nn.Module, settings: Pretraining) -> torch.optim.Optimizer:
    """AdamW or SGD with the groups of `parameter_groups`."""
    groups = parameter_groups(model, settings.continued)
    if settings.optimizer == "sgd":
        # Not fused: fused SGD fails if some parameters get their first gradient later.
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9)
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), fused=True)


def parameter_groups(model: nn.Module, continued: Continued | None = None) -> list[dict[str, Any]]:
    """Pairs of groups with one learning rate: the first of a pair has weight decay, the second is exempt from it.

    Exempt are biases, norms and other vectors. In continued pre-training the backbone's learning rates depend on the
    layer, and what timm lists as `no_weight_decay` (embeddings of positions, class token and registers) is exempt too.
    """
    scales, listed = {}, set()
    if continued:
        of_layers = learning_rate_scales(model.backbone, continued.layer_decay)
        scales = {f"backbone.{name}": scale for name, scale in of_layers.items()}
        listed = {f"backbone.{name}" for name in getattr(model.backbone, "no_weight_decay", set)()}
    pairs: dict[float, tuple[list[nn.Parameter], list[nn.Parameter]]] = {}
    for name, parameter in model.named_parameters():
        pair = pairs.setdefault(scales.get(name, 1.0), ([], []))
        pair[parameter.ndim <= 1 or name in listed].append(parameter)
    return [
        group
        for scale, (decayed, exempt) in pairs.items()
        for group in (
            {"params": decayed, "lr_scale": scale},
            {"params": exempt, "lr_scale": scale, "weight_decay": 0.0},
        )
    ]


def set_rates(optimizer: torch.optim.Optimizer, learning_rate: float, weight_decay: float) -> None:
    """Set this step's learning rate, and the weight decay of the first group of each pair."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("lr_scale", 1.0)  # checkpoints of earlier versions state no scale
    for group in optimizer.param_groups[::2]:
        group["weight_decay"] = weight_decay


@torch.no_grad()
def clip_each(parameters: list[torch.Tensor], largest: float | None) -> torch.Tensor:
    """Scale each parameter's gradient to a norm of at most ``largest``, without synchronising with the device.

    Args:
        parameters: with gradients, or without.
        largest: None: no clipping.

    Returns:
        The norm of the whole gradient before clipping, a scalar.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack(torch._foreach_norm(gradients))
    if largest is not None:
        in_order = gradients[0].device.type == "cpu" or isinstance(norms, DTensor)
        scale = multiply_in_order if in_order else multiply_at_once
        scale(gradients, (largest / (norms + 1e-6)).clamp(max=1.0))
    norm = norms.norm()
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def multiply_in_order(tensors: list[torch.Tensor], factors: torch.Tensor) -> None:
    """Multiply each tensor by its factor, float (n,), in place, one after the other."""
    torch._foreach_mul_(tensors, list(factors.unbind()))


def multiply_at_once(tensors: list[torch.Tensor], factors: torch.Tensor) -> None:
    """The same for dense tensors through one flat copy: a few launches on a GPU instead of one per tensor.

    torch's foreach functions read factors on the device only one by one. The copy is made after the backward pass,
    when the activations have been freed.
    """
    lines = [tensor.as_strided((tensor.numel(),), (1,)) for tensor in tensors]  # also if channels are last in memory
    flat = torch.cat(lines)
    flat *= torch.cat([factor.expand_as(line) for factor, line in zip(factors.unbind(), lines)])
    torch._foreach_copy_(lines, list(flat.split([len(line) for line in lines])))
