"""The optimizer of pre-training, and gradient clipping as in the original code."""

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from gensis.settings.pretraining import Pretraining


def make_optimizer(model: nn.Module, settings: Pretraining) -> torch.optim.Optimizer:
    """AdamW or SGD; biases, norms and other vectors are exempt from weight decay (second group)."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    exempt = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed}, {"params": exempt, "weight_decay": 0.0}]
    if settings.optimizer == "sgd":
        # Not fused: fused SGD fails if some parameters get their first gradient later.
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9)
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), fused=True)


def set_rates(optimizer: torch.optim.Optimizer, learning_rate: float, weight_decay: float) -> None:
    """Set this step's learning rate, and the weight decay of the first group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.param_groups[0]["weight_decay"] = weight_decay


@torch.no_grad()
def clip_each(parameters: list[torch.Tensor], largest: float) -> torch.Tensor:
    """Scale each parameter's gradient to a norm of at most ``largest``, without synchronising with the device.

    Returns:
        The norm of the whole gradient before clipping, a scalar.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack(torch._foreach_norm(gradients))
    scales = (largest / (norms + 1e-6)).clamp(max=1.0)
    scale = multiply_in_order if gradients[0].device.type == "cpu" or isinstance(norms, DTensor) else multiply_at_once
    scale(gradients, scales)
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
