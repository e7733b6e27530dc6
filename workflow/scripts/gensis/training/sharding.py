"""Weights sharded over all processes (FSDP2), and state dicts that do not depend on sharding."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map_only


def shard(modules: Iterable[nn.Module], device: torch.device) -> None:
    """Shard the weights of modules, inner modules first; each is gathered only while it runs."""
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for module in modules:
        fully_shard(module, mesh=mesh, reshard_after_forward=True)


def whole(state: Any) -> Any:
    """A state with full tensors on the CPU instead of sharded ones. All processes must call it.

    Returns:
        The state; in all processes except the first, sharded tensors are replaced with empty ones.
    """

    def gathered(tensor: DTensor) -> torch.Tensor:
        full = tensor.full_tensor()
        return full.cpu() if dist.get_rank() == 0 else full.new_empty(0)

    return tree_map_only(DTensor, gathered, state)


def local_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Memory of tensors in this process: of sharded ones, that of its shards."""
    return sum((each.to_local() if isinstance(each, DTensor) else each).nbytes for each in tensors)


def load_module(module: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """``module.load_state_dict`` of full tensors, for a sharded or unsharded module."""
    own = module.state_dict()
    module.load_state_dict({name: _sharded_like(own.get(name), tensor) for name, tensor in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """``optimizer.load_state_dict`` of full tensors, for sharded or unsharded parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    of_parameters = {
        number: {name: _sharded_like(parameters[number], tensor) for name, tensor in tensors.items()}
        for number, tensors in state["state"].items()
    }
    optimizer.load_state_dict(state | {"state": of_parameters})


def _sharded_like(like: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor:
    if not isinstance(like, DTensor) or like.shape != tensor.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
