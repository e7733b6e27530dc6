"""The tensors that operations allocate, on any device."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """Records the operations that are called inside the context and return new memory."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []
        """Name of each operation, such as ``bmm``, and the bytes of its result."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        """Call the operation; views and changes in place return memory that was given."""
        result = function(*arguments, **(named or {}))
        given = {each.untyped_storage()._cdata for each in tensors((arguments, named))}
        new = [each.untyped_storage() for each in tensors(result)]
        if sizes := [storage.nbytes() for storage in new if storage._cdata not in given]:
            self.calls.append((function.overloadpacket.__name__, sum(sizes)))
        return result


def tensors(values: Any) -> list[torch.Tensor]:
    """All tensors in nested lists and dictionaries."""
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]
