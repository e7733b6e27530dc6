"""A GPU without values: the library runs on `cuda` where there is no GPU, and each wait for the GPU is counted.

Tensors on the CPU are real. Tensors on `cuda` have shape, type and device only (torch's FakeTensorMode): mixed devices,
and shapes that depend on values, raise. Each value that is read from the GPU is 1 or True.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA = torch.device("cuda")
LIBRARY = str(Path(__file__).parents[2] / "workflow")
aten = torch.ops.aten
_READS = {aten._local_scalar_dense.default: "item", aten.equal.default: "equal"}
_COPIES = {aten._to_copy.default, aten.copy_.default}
_COPYING_INPUTS = {aten.where.self, aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
"""These copy an input on the CPU to the GPU themselves, and wait."""
_SAME_DEVICE = {aten.stack.default, aten._fused_sgd_.default}
"""Fakes of these do not refuse mixed devices."""


class FakeCard(TorchDispatchMode):
    """Counts waits; see `fake_card`."""

    def __init__(self) -> None:
        super().__init__()
        self._waits: Counter[str] = Counter()
        self._pinned: dict[int, torch.UntypedStorage] = {}  # kept, so that no address is used twice

    def waits(self) -> dict[str, int]:
        """What made the host wait since the last call: "function of the library: kind of wait" -> how often."""
        waits, self._waits = dict(self._waits), Counter()
        return waits

    def note(self, kind: str) -> None:
        """Count a wait of the library's innermost function."""
        frame = sys._getframe()
        while frame and not frame.f_code.co_filename.startswith(LIBRARY):
            frame = frame.f_back
        where = "test"
        if frame:
            function = frame.f_code.co_qualname.split(".<locals>")[0]
            where = f"{frame.f_globals['__name__'].removeprefix('gensis.')}.{function}"
        self._waits[f"{where}: {kind}"] += 1

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor on the CPU, from now on in pinned memory."""
        storage = tensor.untyped_storage()
        self._pinned[storage.data_ptr()] = storage
        return tensor

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # In inference mode torch leaves this to the mode.
        if torch.is_inference_mode_enabled() and operator.namespace == "aten" and operator._can_decompose():
            with self:
                return operator.decompose(*args, **kwargs)
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        devices = {tensor.device.type for tensor in tensors}
        if "cuda" not in devices | {leaf.type for leaf in leaves if isinstance(leaf, torch.device)}:
            return self._on_cpu(operator, *args, **kwargs)
        if operator in _READS:
            self.note(_READS[operator])
            return self._on_cpu(lambda: torch.ones((), dtype=tensors[0].dtype).item())
        if operator in _COPIES:
            return self._copied(operator, *args, **kwargs)
        if len(devices) == 2 and operator in _COPYING_INPUTS:
            self.note("hidden copy")
        if len(devices) == 2 and (operator in _SAME_DEVICE or (operator in _COPYING_INPUTS and not tensors[0].is_cuda)):
            raise RuntimeError(f"{operator}: tensors on cpu and cuda")
        if operator is aten._fused_sgd_.default:  # has no fake; changes its arguments in place
            return None
        return operator(*args, **kwargs)

    def _on_cpu(self, operator, *args, pin_memory=False, **kwargs):
        """Real values."""
        with unset_fake_temporarily():
            result = operator(*args, **kwargs)
        return self.pinned(result) if pin_memory else result

    def _copied(self, operator, tensor, *args, **kwargs):
        """A copy, perhaps between CPU and GPU."""
        in_place = operator is aten.copy_.default
        source, given = (args[0], tensor.device) if in_place else (tensor, kwargs.get("device"))
        target = given or tensor.device
        if source.device.type == target.type:
            return operator(tensor, *args, **kwargs)
        dtype = tensor.dtype if in_place else kwargs.get("dtype") or source.dtype
        non_blocking = args[1] if len(args) > 1 else kwargs.get("non_blocking", False)
        on_cpu = next((each for each in (tensor, source) if not each.is_cuda), None)  # None: torch makes it, pinned
        is_direct = source.dtype == dtype and (on_cpu is None or self._is_pinned(on_cpu))
        if not (non_blocking and is_direct):
            self.note(f"copy to {target.type}")
        if target.type == "cuda":
            return operator(tensor, *args, **kwargs)
        ones = self._on_cpu(torch.ones, source.shape, dtype=dtype)
        return self._on_cpu(operator, tensor, ones) if in_place else ones

    def _is_pinned(self, tensor: torch.Tensor) -> bool:
        """Whether a copy reads or writes pinned memory: torch first makes other layouts contiguous, which is not."""
        is_channels_last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
        is_dense = is_channels_last or tensor.is_contiguous()
        return is_dense and tensor.untyped_storage().data_ptr() in self._pinned


@contextmanager
def fake_card() -> Iterator[FakeCard]:
    """A context in which `cuda` exists. Pinned memory, events, generators and `backward` have stand-ins."""
    card = FakeCard()

    class Event:
        def record(self) -> None:
            pass

        def synchronize(self) -> None:
            card.note("event")

    stand_ins = [
        (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        (torch.cuda, "is_bf16_supported", lambda *arguments: True),
        (torch.cuda, "get_rng_state", lambda device=None: torch.zeros(16, dtype=torch.uint8)),
        (torch.cuda, "set_rng_state", lambda state, device=None: None),
        (torch.cuda, "synchronize", lambda device=None: card.note("synchronize")),
        (torch.cuda, "Event", Event),
        (FakeTensor, "tolist", lambda tensor: tensor.cpu().tolist()),
        (torch.Tensor, "pin_memory", lambda tensor: card.pinned(tensor.clone())),
        (torch.Tensor, "backward", backward),
    ]
    with ExitStack() as stack:
        for owner, name, stand_in in stand_ins:
            stack.enter_context(patch.object(owner, name, stand_in))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield stack.enter_context(card)


@torch.no_grad()
def backward(loss: torch.Tensor) -> None:
    """`Tensor.backward` without torch's engine, which needs a driver: calls the gradient formulas one by one."""
    order = _nodes(loss.grad_fn)
    received = {node: [None] * len(node._input_metadata) for node in order}
    received[loss.grad_fn][loss.output_nr] = torch.ones_like(loss)
    for node in order:
        gradients = received.pop(node)
        if hasattr(node, "variable"):
            leaf, (gradient,) = node.variable, gradients
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
            continue
        results = node(*gradients)
        results = results if isinstance(results, tuple) else (results,)
        for (other, place), gradient in zip(node.next_functions, results):
            if other is not None and gradient is not None:
                expected, old = other._input_metadata[place], received[other][place]
                gradient = gradient.sum_to_size(expected.shape).to(expected.dtype)
                received[other][place] = gradient if old is None else old + gradient


def _nodes(last) -> list:
    """All nodes of a graph of autograd, each before those that it passes gradients to."""
    order, seen, stack = [], set(), [(last, False)]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(other, False) for other, _ in node.next_functions if other is not None]
    return order[::-1]
